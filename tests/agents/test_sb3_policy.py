"""Trained agents: the same network in SB3, in our files, and as a policy."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.utils import obs_as_tensor

from saccade_env import (
    BeliefObservation,
    PeripheryObservation,
    SaccadeVectorEnv,
    SaliencyObservation,
    core,
)
from saccade_env.agents import AgentPolicy, SB3VecEnv, TokenGridNet
from saccade_env.agents.files import DESCRIPTION, WEIGHTS
from saccade_env.agents.observation import Observing
from saccade_env.agents.sb3_policies import policy_class, token_grid_net
from saccade_env.agents.sb3_zip import CARD, MODEL, export, load_sb3, save_agent
from saccade_env.card import describe_policy
from saccade_env.classifiers.weights_file import WeightsError
from saccade_env.evaluation.rollout import rollout

ROWS = 3
SMALL = {"features_extractor_kwargs": {"channels": 16, "blocks": 2}}
OBSERVED = {"periphery": 16, "prior": "gbvs", "belief": 5}
ROLLOUT: dict[str, Any] = {"n_steps": 4, "batch_size": 6, "n_epochs": 1}
OFF_POLICY: dict[str, Any] = {"learning_starts": 3, "buffer_size": 20, "batch_size": 4}

pytestmark = pytest.mark.filterwarnings("ignore:.*:UserWarning:stable_baselines3")


class Prior:
    """A map that depends on the picture, and costs nothing."""

    name, sees_full_image = "gbvs", True

    def __init__(self, grid: tuple[int, int]) -> None:
        self.grid = grid

    def saliency_map(self, images: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.adaptive_avg_pool2d(images.float().mean(1), self.grid)

    maps = saliency_map

    def reset(self, images: torch.Tensor) -> None: ...

    def act(self, view: core.View) -> torch.Tensor:
        raise NotImplementedError


def make_prior(name: str, grid: tuple[int, int] = (14, 14)) -> Prior:
    assert name == "gbvs"
    return Prior(grid)


def build_env(classifier: Any, sample: Any, rows: int = ROWS, **task: Any) -> Any:
    task = {"max_saccades": 4, "workers": 0, **task}
    env: Any = SaccadeVectorEnv(rows, images=sample, classifier=classifier, **task)
    env = PeripheryObservation(env, OBSERVED["periphery"])
    return BeliefObservation(SaliencyObservation(env, Prior(classifier.grid)), OBSERVED["belief"])


def algorithm(algo: str) -> tuple[Any, dict[str, Any]]:
    if algo in ("ppo", "dqn"):
        return {"ppo": (PPO, ROLLOUT), "dqn": (DQN, OFF_POLICY)}[algo]
    contrib = pytest.importorskip("sb3_contrib", reason="needs the extra 'train'")
    return getattr(contrib, {"maskable-ppo": "MaskablePPO"}.get(algo, "RecurrentPPO")), ROLLOUT


def build_model(algo: str, env: Any, steps: int = 0) -> Any:
    make, keywords = algorithm(algo)
    policy, policy_kwargs = policy_class(algo)
    more = {"lstm_hidden_size": 16} if algo == "recurrent-ppo" else {}
    policy_kwargs = {**policy_kwargs, **SMALL, **more}
    model = make(policy, SB3VecEnv(env), policy_kwargs=policy_kwargs, seed=0, **keywords)
    if algo != "recurrent-ppo":
        excite(token_grid_net(model))
    return model.learn(steps) if steps else model


def excite(net: TokenGridNet) -> TokenGridNet:
    """Logits that differ visibly, as after training, and a net that stops by preference."""
    torch.manual_seed(1)
    torch.nn.init.normal_(net.cell.weight)
    torch.nn.init.constant_(net.prior_weight, 0.5)
    if net.stop is not None:
        torch.nn.init.constant_(net.stop.bias, 20.0)
    return net


def bare(grid: tuple[int, int] = (14, 14), patch: int = 16, **keywords: Any) -> TokenGridNet:
    torch.manual_seed(0)
    space = Observing(grid, patch, 16, Prior(grid), 5).space(4)
    return excite(TokenGridNet(space, 16, 2, **keywords)).eval()


def save_sb3(model: Any, folder: Path, algo: str, **card: Any) -> Path:
    folder.mkdir(exist_ok=True)
    model.save(folder / MODEL)
    (folder / CARD).write_text(json.dumps({"algo": algo, "observation": OBSERVED, **card}))
    return folder


# --- SB3 ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("algo", ["ppo", "maskable-ppo", "dqn"])
@pytest.mark.parametrize("stop", [False, True])
def test_sb3_gives_exactly_the_nets_logits(linear: Any, sample: Any, algo: str, stop: bool) -> None:
    env = build_env(linear, sample, stop_action=stop)
    model = build_model(algo, env)
    env.reset(seed=0)
    observation = env.step(np.array([5, 80, 195]))[0]
    net = TokenGridNet(env.single_observation_space, 16, 2, stop).eval()
    net.load_state_dict(token_grid_net(model).state_dict())
    with torch.no_grad():
        logits, value = net(obs_as_tensor(observation, "cpu"))
        given, _ = model.policy.obs_to_tensor(observation)
        if algo == "dqn":
            torch.testing.assert_close(model.policy.q_net(given), logits)
            return
        theirs = model.policy.get_distribution(given).distribution.logits
        torch.testing.assert_close(theirs, logits.log_softmax(1), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(model.policy.predict_values(given)[:, 0], value)
        actions = logits.argmax(1)
        values, log_p, _ = model.policy.evaluate_actions(given, actions)
    torch.testing.assert_close(values[:, 0], value)
    torch.testing.assert_close(log_p, logits.log_softmax(1).amax(1), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("algo", ["ppo", "maskable-ppo", "dqn", "recurrent-ppo"])
def test_it_learns_and_is_loaded_with_its_optimizer(
    linear: Any, sample: Any, tmp_path: Path, algo: str
) -> None:
    env = build_env(linear, sample)
    model = build_model(algo, env)
    before = [p.detach().clone() for p in model.policy.parameters()]
    model.learn(24)
    after = list(model.policy.parameters())
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
    model.save(tmp_path / "model.zip")
    loaded = type(model).load(tmp_path / "model.zip", device="cpu")
    for mine, theirs in zip(after, loaded.policy.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    mine, theirs = (m.policy.optimizer.state_dict()["state"] for m in (model, loaded))
    assert mine
    assert all(torch.equal(mine[i]["exp_avg"], theirs[i]["exp_avg"]) for i in mine)


def test_maskable_ppo_on_the_largest_grid(make_linear: Any, sample: Any) -> None:
    env = build_env(make_linear(patch_size=8, num_classes=1000), sample)
    model = build_model("maskable-ppo", env)
    assert model.action_space.n == 784
    model.learn(24)
    assert model.num_timesteps >= 24


def test_other_actions_are_refused(linear: Any, sample: Any) -> None:
    with pytest.raises(ValueError, match="needs action='token'"):
        build_model("ppo", build_env(linear, sample, action="grid"))
    with pytest.raises(ValueError, match="Did you mean 'ppo'"):
        policy_class("pp0")


def test_recurrent_models_have_no_token_grid_logits(linear: Any, sample: Any) -> None:
    with pytest.raises(TypeError, match="does not choose by"):
        token_grid_net(build_model("recurrent-ppo", build_env(linear, sample)))


# --- as a policy -------------------------------------------------------------------------------


@pytest.mark.parametrize("algo", ["maskable-ppo", "recurrent-ppo"])
def test_the_policy_does_what_sb3_predicts(
    linear: Any, sample: Any, tmp_path: Path, algo: str
) -> None:
    env = build_env(linear, sample, max_saccades=6)
    model = build_model(algo, env, steps=24)
    agent = load_sb3(save_sb3(model, tmp_path / "run", algo), make_prior=make_prior)
    observation, _ = env.reset(seed=5)
    agent.reset(env.unwrapped.images)
    state: Any = None
    for step in range(5):
        fixation = agent.act(env.unwrapped.view).numpy()
        if algo == "maskable-ppo":
            masks = {"action_masks": env.action_masks()}
            action, _ = model.predict(observation, deterministic=True, **masks)
        else:
            starts = np.full(ROWS, step == 0)
            action, state = model.predict(observation, state, starts, deterministic=True)
        allowed = env.action_masks()[np.arange(ROWS), action]
        assert (fixation == action)[allowed].all()
        observation = env.step(action)[0]
    assert agent.name == "run"


def test_an_lstm_remembers_until_it_is_reset(linear: Any, sample: Any, tmp_path: Path) -> None:
    env = build_env(linear, sample)
    run = save_sb3(build_model("recurrent-ppo", env), tmp_path / "run", "recurrent-ppo")
    agent = load_sb3(run, make_prior=make_prior)
    env.reset(seed=0)
    logits = []
    for fresh in (True, False, True):
        if fresh:
            agent.reset(env.unwrapped.images)
        logits.append(agent.logits(env.unwrapped.view))
    assert torch.equal(logits[0], logits[2])
    assert not torch.allclose(logits[0], logits[1])
    with pytest.raises(ValueError, match=r"knows only the grid \(14, 14\); got \(16, 16\)"):
        load_sb3(run, (16, 16), partial(make_prior, grid=(16, 16)))


@pytest.mark.parametrize(
    "observed", [OBSERVED, {**OBSERVED, "belief": 0}, {"periphery": 0, "prior": None, "belief": 3}]
)
def test_it_observes_what_the_environment_shows(
    linear: Any, sample: Any, observed: dict[str, Any]
) -> None:
    env: Any = SaccadeVectorEnv(ROWS, images=sample, classifier=linear, max_saccades=4, workers=0)
    prior = Prior((14, 14)) if observed["prior"] else None
    observing = Observing((14, 14), 16, observed["periphery"], prior, observed["belief"])
    env = PeripheryObservation(env, observed["periphery"]) if observed["periphery"] else env
    env = SaliencyObservation(env, prior) if prior else env
    env = BeliefObservation(env, observed["belief"]) if observed["belief"] else env
    assert observing.space(4) == env.single_observation_space
    shown, _ = env.reset(seed=3)
    observing.begin(env.unwrapped.images)
    for action in (0, 17, 100):
        mine = observing(env.unwrapped.view)
        assert mine.keys() == shown.keys()
        for key, value in shown.items():
            np.testing.assert_array_equal(mine[key], value, err_msg=key)
            assert mine[key].dtype == value.dtype, key
        shown = env.step(np.full(ROWS, action))[0]


def test_rows_do_not_depend_on_their_batch(linear: Any, sample: Any) -> None:
    images = torch.stack([sample[i].image for i in range(len(sample))])
    config = core.SaccadeConfig(max_saccades=3)
    agent = AgentPolicy(bare(), Observing((14, 14), 16, 16, Prior((14, 14)), 5))
    labels = torch.zeros(len(images), dtype=torch.long)
    together = rollout(images, labels, agent, config, linear).scanpath
    for row in range(len(images)):
        own = slice(row, row + 1)
        alone = rollout(images[own], labels[own], agent, config, linear).scanpath
        np.testing.assert_array_equal(alone, together[own])
    assert len({tuple(path.flatten()) for path in together}) > 1


def test_another_budget_counts_as_shares(linear: Any, sample: Any) -> None:
    images = torch.stack([sample[0].image])
    labels = torch.zeros(1, dtype=torch.long)
    logits = []
    for budget in (4, 8):  # the network was made for 4
        state = core.begin(images, labels, labels, core.SaccadeConfig(max_saccades=budget), linear)
        agent = AgentPolicy(bare(), Observing((14, 14), 16, 16, Prior((14, 14)), 5))
        agent.reset(images)
        logits.append(agent.logits(core.view(state)))
    torch.testing.assert_close(*logits)


def test_stopping_must_be_asked_for(linear: Any, sample: Any) -> None:
    images = torch.stack([sample[0].image])
    make = partial(AgentPolicy, observing=Observing((14, 14), 16, 16, Prior((14, 14)), 5))
    config = core.SaccadeConfig(max_saccades=3, stop_action=True)
    state = core.begin(images, torch.zeros(1).long(), torch.zeros(1).long(), config, linear)
    for stops in (False, True):
        agent = make(net=bare(stop_action=True), stops=stops)
        agent.reset(images)
        assert (int(agent.act(core.view(state))) == 196) is stops


def test_inhibited_cells_are_never_chosen(linear: Any, sample: Any) -> None:
    agent = AgentPolicy(bare(), Observing((14, 14), 16, 16, Prior((14, 14)), 5))
    images = torch.stack([sample[0].image, sample[1].image])
    config = core.SaccadeConfig(max_saccades=30, fovea=5)
    labels = torch.zeros(2, dtype=torch.long)
    share = rollout(images, labels, agent, config, linear).visible_share
    new = np.diff(share, axis=1, prepend=0) > 0
    assert (new | (share == 1)).all()


# --- files -------------------------------------------------------------------------------------


def saved(folder: Path, **keywords: Any) -> Path:
    card = {"steps": 5}
    return save_agent(
        bare(**keywords), folder, {"name": "tiny", "observation": OBSERVED, "card": card}
    )


def test_round_trip_on_another_grid(tmp_path: Path, make_linear: Any) -> None:
    folder = saved(tmp_path / "agent")
    assert sorted(path.name for path in folder.iterdir()) == [DESCRIPTION, WEIGHTS]
    described = json.loads((folder / DESCRIPTION).read_text())
    assert described["network"] == {
        "channels": 16, "blocks": 2, "stop_action": False, "patch_size": 16,
    }  # fmt: skip
    assert described["max_saccades"] == 4
    assert described["card"] == {"steps": 5}
    grid = (10, 12)
    agent = AgentPolicy.load(folder, grid, partial(make_prior, grid=grid))
    for key, value in agent._net.state_dict().items():
        assert torch.equal(value, bare().state_dict()[key])
    images = torch.randint(0, 256, (2, 3, 160, 192), dtype=torch.uint8)
    classifier = make_linear((160, 192))
    path = rollout(images, torch.zeros(2).long(), agent, core.SaccadeConfig(grid), classifier)
    assert path.scanpath.max() < 12
    card = describe_policy(agent)
    assert (card["name"], card["periphery"], card["prior"]["name"]) == ("tiny", 16, "gbvs")
    assert len(card["weights"]["sha256"]) == 64
    assert agent.sees_full_image
    assert isinstance(agent, core.Policy)
    json.dumps(card)


def test_export_keeps_the_behaviour(linear: Any, sample: Any, tmp_path: Path) -> None:
    model = build_model("maskable-ppo", build_env(linear, sample), steps=12)
    run = save_sb3(model, tmp_path / "run", "maskable-ppo", name="good", steps=12)
    folder = export(run / MODEL, tmp_path / "agent")
    ours = AgentPolicy.load(folder, make_prior=make_prior)
    theirs = load_sb3(run, make_prior=make_prior)
    assert (ours.name, theirs.name) == ("agent", "good"), "an agent is named as its folder"
    images = torch.stack([sample[i].image for i in range(3)])
    labels, config = torch.zeros(3, dtype=torch.long), core.SaccadeConfig(max_saccades=6)
    left, right = (rollout(images, labels, agent, config, linear) for agent in (ours, theirs))
    np.testing.assert_array_equal(left.scanpath, right.scanpath)
    assert json.loads((folder / DESCRIPTION).read_text())["card"]["steps"] == 12


def test_without_a_prior_it_does_not_see_the_picture(tmp_path: Path) -> None:
    net = TokenGridNet(Observing((14, 14), 16, 16).space(4), 16, 2)
    said = {"periphery": 16, "prior": "none", "belief": False}  # as a training's card says it
    folder = save_agent(net, tmp_path, {"name": "small", "observation": said})
    agent = AgentPolicy.load(folder)
    assert not agent.sees_full_image
    assert "prior" not in describe_policy(agent)
    assert json.loads((folder / DESCRIPTION).read_text())["observation"]["prior"] is None


def test_files_that_are_not_right_say_so(tmp_path: Path) -> None:
    folder = saved(tmp_path / "agent")
    load = partial(AgentPolicy.load, make_prior=make_prior)
    with pytest.raises(FileNotFoundError, match=r"agent\.json in .*nowhere"):
        load(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="'gbvs': give make_prior"):
        AgentPolicy.load(folder)
    described = json.loads((folder / DESCRIPTION).read_text())

    def broken(text: str) -> Path:
        (folder / DESCRIPTION).write_text(text)
        return folder

    with pytest.raises(ValueError, match="is not JSON"):
        load(broken("{"))
    with pytest.raises(ValueError, match=r"lacks \['network'\]"):
        load(broken(json.dumps({k: v for k, v in described.items() if k != "network"})))
    with pytest.raises(ValueError, match=r"'observation' of .* lacks \['belief'\]"):
        load(broken(json.dumps({**described, "observation": {"periphery": 8, "prior": None}})))
    with pytest.raises(WeightsError, match="missing keys"):
        load(broken(json.dumps({**described, "observation": {**OBSERVED, "prior": None}})))
    wide = {**described, "network": {**described["network"], "channels": 24}}
    with pytest.raises(WeightsError, match="has shape"):
        load(broken(json.dumps(wide)))
    broken(json.dumps(described))
    (folder / WEIGHTS).write_bytes(b"\x80\x04not safetensors")  # a pickle is not opened
    with pytest.raises(WeightsError, match="cannot be read as weights"):
        load(folder)
    (folder / WEIGHTS).unlink()
    with pytest.raises(FileNotFoundError, match=WEIGHTS):
        load(folder)
    with pytest.raises(ValueError, match="the description says"):
        save_agent(bare(), folder, {"name": "x", "observation": {**OBSERVED, "belief": 0}})


def test_sb3_files_that_are_not_right_say_so(linear: Any, sample: Any, tmp_path: Path) -> None:
    model = build_model("ppo", build_env(linear, sample))
    run = save_sb3(model, tmp_path / "run", "ppo")
    with pytest.raises(FileNotFoundError, match="there is no model"):
        load_sb3(tmp_path)
    shutil.copy(run / MODEL, tmp_path / "other.zip")
    with pytest.raises(FileNotFoundError, match=r"needs card\.json in"):
        load_sb3(tmp_path / "other.zip")
    save_sb3(model, run, "a3c")
    with pytest.raises(ValueError, match="unknown algorithm 'a3c'"):
        load_sb3(run)
    (run / MODEL).write_text("nothing")
    with pytest.raises(ValueError, match="cannot be loaded"):
        load_sb3(run)


def test_pictures_and_views_must_fit(linear: Any, sample: Any) -> None:
    agent = AgentPolicy(bare(), Observing((14, 14), 16, 16, Prior((14, 14)), 5))
    images = torch.stack([sample[0].image])
    state = core.begin(
        images, torch.zeros(1).long(), torch.zeros(1).long(), core.SaccadeConfig(), linear
    )
    with pytest.raises(RuntimeError, match="begin"):
        agent.act(core.view(state))
    with pytest.raises(ValueError, match=r"224×224.*got 112×224"):
        agent.reset(images[:, :, :112])
    agent.reset(torch.cat((images, images)))
    with pytest.raises(ValueError, match="of 2 episodes"):
        agent.act(core.view(state))
    with pytest.raises(TypeError, match="no saliency_map"):
        Observing((14, 14), 16, prior=object())


def test_importing_agents_needs_no_sb3() -> None:
    code = (
        "import sys, saccade_env.agents as a; a.AgentPolicy, a.TokenGridNet;"
        "print([m for m in ('stable_baselines3', 'sb3_contrib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
