"""Search for an agent's hyperparameters with Optuna; the same command goes on where it stopped.

A trial is a training, which the median pruner may end between stages. It counts by its accuracy on
held-back pictures, as rewards cannot be compared. Writes study.db, trials.csv and best.yml.

python examples/tune.py --images PATH/TO/imagenet/train
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import yaml
from optuna.trial import Trial, TrialState

from saccade_env import SaccadeConfig, classifiers, images
from saccade_env.agents.train import Settings, train
from saccade_env.core import REWARDS

ALGO = "maskable-ppo"


def main() -> None:
    as_is = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=as_is)
    parser.add_argument("--images", default="sample", help="'sample' or a labelled folder")
    parser.add_argument("--trials", type=int, default=20, help="of the whole study")
    parser.add_argument("--timesteps", type=int, default=8000, help="saccades a trial")
    parser.add_argument("--stages", type=int, default=4, help="of a trial")
    parser.add_argument("--n-steps", type=int, default=40, help="saccades a row per update")
    parser.add_argument("--device", default="cpu", help="of network and classifier")
    parser.add_argument("--out", type=Path, default=Path("runs/tune"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    options.source = images.create(options.images)
    options.judge = classifiers.create("efficientnet_lite0", device=options.device)

    study = optuna.create_study(
        storage=f"sqlite:///{options.out}/study.db", study_name=ALGO, direction="maximize",
        pruner=optuna.pruners.MedianPruner(4, options.stages // 3), load_if_exists=True,
    )  # fmt: skip
    # With one seed, a study that goes on would draw what it has drawn before.
    study.sampler = optuna.samplers.TPESampler(n_startup_trials=4, seed=len(study.trials))
    counted = study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))
    left = max(options.trials - len(counted), 0)
    study.optimize(lambda trial: objective(trial, options), left, catch=FloatingPointError)
    study.trials_dataframe().to_csv(options.out / "trials.csv", index=False)
    best = study.best_trial
    (options.out / "best.yml").write_text(yaml.safe_dump(best.user_attrs["hyperparameters"]))
    print(f"best: {best.value:.3f} with {best.params}")


def objective(trial: Trial, options: argparse.Namespace) -> float:
    """Accuracy at the end of the training, mean over the saccades, 0 to 1."""
    settings, accuracy = sampled(trial, options), 0.0
    for stage in range(1, options.stages + 1):
        until = options.timesteps * stage // options.stages
        train(replace(settings, timesteps=until), resume=stage > 1)
        accuracy = pd.read_csv(settings.out / "evaluations.csv")["accuracy"].iloc[-1]
        trial.report(accuracy, stage)
        if trial.should_prune():
            raise optuna.TrialPruned
    return accuracy


def sampled(trial: Trial, options: argparse.Namespace) -> Settings:
    """What is searched. Names are RL Zoo's, where it has one."""
    own = {
        "n_steps": options.n_steps,
        "batch_size": 2 ** trial.suggest_int("batch_size_pow", 4, 6),
        "learning_rate": trial.suggest_float("learning_rate", 1e-5, 2e-3, log=True),
        "ent_coef": trial.suggest_float("ent_coef", 1e-8, 0.1, log=True),
        "gamma": 1 - trial.suggest_float("one_minus_gamma", 1e-4, 0.3, log=True),
    }
    channels = trial.suggest_categorical("channels", [16, 32, 64])
    trial.set_user_attr("hyperparameters", {ALGO: own, "network": {"channels": channels}})
    reward: Any = trial.suggest_categorical("reward", REWARDS)
    return Settings(
        out=options.out / f"trial_{trial.number}", algo=ALGO, images=options.source,
        classifier=options.judge, config=SaccadeConfig(max_saccades=5, reward=reward),
        periphery=trial.suggest_categorical("periphery", [32, 64]),
        eye=trial.suggest_categorical("eye", ["none", 64]),
        hyperparameters={**own, "network.channels": channels},
        device=options.device, progress=False,
    )  # fmt: skip


if __name__ == "__main__":
    main()
