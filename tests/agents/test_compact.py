"""Networks of Stable-Baselines3 see the same through compact observations as through whole ones."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.buffers import DictReplayBuffer
from stable_baselines3.common.utils import obs_as_tensor

from saccade_env import BeliefObservation, PeripheryObservation, SaccadeVectorEnv
from saccade_env.agents import AgentPolicy, CompactExtractor, PatchCache, SB3VecEnv, files
from saccade_env.agents.compact import open_pictures, whole_space
from saccade_env.agents.observation import Observing
from saccade_env.agents.sb3_policies import GridPooledExtractor, Sb3Network, policy_class
from saccade_env.config import SaccadeConfig
from saccade_env.images.derived import Subset
from saccade_env.observe.compact import compact_space
from saccade_env.spaces import observation_space

pytestmark = pytest.mark.filterwarnings("ignore:.*:UserWarning:stable_baselines3")
ROWS = 3
SMALL = {"channels": 16, "blocks": 1, "embedding": 8}
REPLAY: dict[str, Any] = {"learning_starts": 3, "buffer_size": 60, "batch_size": 8}


def algorithm(name: str) -> Any:
    if name == "qrdqn":
        contrib = pytest.importorskip("sb3_contrib", reason="needs the extra 'train'")
        return contrib.QRDQN
    return {"dqn": DQN, "ppo": PPO}[name]


def build(linear: Any, sample: Any, kind: str, wrap: Any = None, rows: int = ROWS) -> Any:
    env: Any = SaccadeVectorEnv(
        rows, sample, linear, max_saccades=3, stop_action=True, observation=kind, workers=0
    )
    return wrap(env) if wrap else env


def pooled(pictures: PatchCache | None) -> dict[str, Any]:
    """``policy_kwargs`` of a small network, on whole observations or on compact ones."""
    if pictures is None:
        return {"features_extractor_class": GridPooledExtractor, "features_extractor_kwargs": SMALL}
    own = {"pictures": pictures, "inner": GridPooledExtractor, **SMALL}
    return {"features_extractor_class": CompactExtractor, "features_extractor_kwargs": own}


def cache_of(env: Any, **keywords: Any) -> PatchCache:
    return PatchCache(env.unwrapped.source, env.unwrapped.patch_size, workers=0, **keywords)


def model_on(name: str, env: Any, policy: Any = "MultiInputPolicy", **keywords: Any) -> Any:
    more = {"n_steps": 4, "batch_size": 6, "n_epochs": 1} if name == "ppo" else REPLAY
    return algorithm(name)(policy, SB3VecEnv(env), seed=0, device="cpu", **more, **keywords)


def values(model: Any, observation: Any) -> torch.Tensor:
    tensors = obs_as_tensor(observation, "cpu")
    with torch.no_grad():
        if isinstance(model, DQN):
            return model.q_net(tensors)
        if isinstance(model, PPO):
            return model.policy.get_distribution(tensors).distribution.logits
        return model.quantile_net(tensors)


def give_weights(source: Any, target: Any) -> None:
    """An extractor inside of another has another name, and the same order."""
    theirs = target.policy.state_dict()
    mine = list(source.policy.state_dict().values())
    target.policy.load_state_dict(dict(zip(theirs, mine, strict=True)))


def extra(env: Any) -> Any:
    return BeliefObservation(PeripheryObservation(env, 8))


@pytest.mark.parametrize("wrap", [None, extra], ids=["bare", "wrapped"])
@pytest.mark.parametrize("name", ["dqn", "qrdqn", "ppo"])
def test_the_same_weights_give_the_same_values(
    linear: Any, sample: Any, name: str, wrap: Any
) -> None:
    whole, compact = (build(linear, sample, kind, wrap) for kind in ("tokens", "compact"))
    models = [
        model_on(name, whole, policy_kwargs={**pooled(None), "normalize_images": False}),
        model_on(
            name, compact, policy_kwargs={**pooled(cache_of(compact)), "normalize_images": False}
        ),
    ]
    with torch.no_grad():  # so that every input matters
        for value in models[0].policy.parameters():
            value.add_(0.1 * torch.randn_like(value))
    give_weights(*models)
    random, before = np.random.default_rng(0), torch.zeros(())
    shown = [env.reset(seed=0)[0] for env in (whole, compact)]
    for _ in range(8):
        found = [values(model, one) for model, one in zip(models, shown, strict=True)]
        assert torch.equal(*found)
        assert not torch.equal(found[0], before)
        before = found[0]
        actions = random.integers(0, 197, ROWS)
        shown = [env.step(actions)[0] for env in (whole, compact)]


@pytest.mark.slow
def test_real_pictures_give_the_same_values_to_sb3s_own_network(linear: Any) -> None:
    whole, compact = (build(linear, "sample", kind, rows=34) for kind in ("tokens", "compact"))
    pictures = cache_of(compact, megabytes=2)
    keywords = {"features_extractor_class": CompactExtractor}
    keywords |= {"features_extractor_kwargs": {"pictures": pictures}}
    arch = {"net_arch": [4]}
    models = [
        model_on("dqn", whole, policy_kwargs=arch),
        model_on("dqn", compact, policy_kwargs={**arch, **keywords}),
    ]
    give_weights(*models)
    shown = [env.reset(options={"index": range(34)})[0] for env in (whole, compact)]
    for action in (30, 100):
        shown = [env.step(np.full(34, action))[0] for env in (whole, compact)]
        found = [values(model, one) for model, one in zip(models, shown, strict=True)]
        assert torch.equal(*found)
        assert len(found[0].unique(dim=0)) == 34
    assert pictures.nbytes <= 2e6


@pytest.mark.parametrize("name", ["dqn", pytest.param("qrdqn", marks=pytest.mark.slow), "ppo"])
def test_it_learns_the_same_and_is_saved_without_pictures(
    linear: Any, sample: Any, tmp_path: Path, name: str
) -> None:
    whole, compact = (build(linear, sample, kind) for kind in ("tokens", "compact"))
    pictures = cache_of(compact)
    models = [
        model_on(name, whole, policy_kwargs=pooled(None)),
        model_on(name, compact, policy_kwargs=pooled(pictures)),
    ]
    give_weights(*models)
    for model in models:
        model.set_random_seed(0)
        model.learn(24)
    for mine, theirs in zip(*(model.policy.parameters() for model in models), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=0)
    files = [tmp_path / f"{kind}.zip" for kind in ("tokens", "compact")]
    for model, path in zip(models, files, strict=True):
        model.save(path)
    sizes = [path.stat().st_size for path in files]
    assert sizes[1] < sizes[0] + 4000
    loaded = algorithm(name).load(files[1], device="cpu")
    observation, _ = compact.reset(seed=3)
    with pytest.raises(RuntimeError, match="7 pictures of 'sample' are not saved"):
        loaded.predict(observation)
    with pytest.raises(ValueError, match="must be the 7 of 'sample'"):
        open_pictures(loaded, Subset(sample, [6, 5, 4, 3, 2, 1, 0]))
    open_pictures(loaded, sample)
    assert torch.equal(values(loaded, observation), values(models[1], observation))


def test_networks_share_what_is_in_memory(linear: Any, sample: Any) -> None:
    compact = build(linear, sample, "compact")
    pictures = cache_of(compact)
    model = model_on("dqn", compact, policy_kwargs=pooled(pictures))
    for network in (model.q_net, model.q_net_target):
        assert network.features_extractor.pictures is pictures
    assert len(pickle.dumps(model.policy_kwargs["features_extractor_kwargs"])) < 2000


@pytest.mark.parametrize("n_envs", [1, 8])
@pytest.mark.parametrize("stop", [False, True])
def test_a_hundred_thousand_steps_fit_in_100_mb(n_envs: int, stop: bool) -> None:
    space = compact_space(SaccadeConfig(), 1_281_167)
    buffer = DictReplayBuffer(100_000, space, spaces.Discrete(196 + stop), "cpu", n_envs)
    parts = (*buffer.observations.values(), *buffer.next_observations.values())
    parts = (*parts, buffer.actions, buffer.rewards, buffer.dones, buffer.timeouts)
    assert sum(part.nbytes for part in parts) == 100_000 * (2 * 61 + 8 + 3 * 4) <= 100e6
    whole = observation_space(SaccadeConfig(), 16)
    a_step = sum(int(np.prod(box.shape)) * box.dtype.itemsize for box in whole.values())
    assert a_step == 150_748


@pytest.mark.parametrize("name", ["dqn", "qrdqn"])
def test_replay_buffers_of_models_are_that_small(linear: Any, sample: Any, name: str) -> None:
    compact = build(linear, sample, "compact")
    more = {**REPLAY, "buffer_size": 100_000}
    model = algorithm(name)(
        "MultiInputPolicy", SB3VecEnv(compact), policy_kwargs=pooled(cache_of(compact)), **more
    )
    arrays = [*model.replay_buffer.observations.values()]
    arrays += [*model.replay_buffer.next_observations.values()]
    arrays += [part for part in vars(model.replay_buffer).values() if isinstance(part, np.ndarray)]
    assert len(arrays) == 12
    assert sum(array.nbytes for array in arrays) < 20e6


def test_the_token_grid_network_takes_them_and_is_exported(
    linear: Any, sample: Any, tmp_path: Path
) -> None:
    whole, compact = (build(linear, sample, kind) for kind in ("tokens", "compact"))
    policy, _ = policy_class("dqn")
    models = [
        model_on("dqn", whole, policy, policy_kwargs={"features_extractor_kwargs": SMALL}),
        model_on(
            "dqn", compact, policy,
            policy_kwargs={"features_extractor_kwargs": {**SMALL, "pictures": cache_of(compact)}},
        ),
    ]  # fmt: skip
    models[0].learn(12)
    give_weights(*models)
    shown = [env.reset(seed=1)[0] for env in (whole, compact)]
    for action in (5, 80):
        found = [values(model, one) for model, one in zip(models, shown, strict=True)]
        assert torch.equal(*found)
        shown = [env.step(np.full(ROWS, action))[0] for env in (whole, compact)]
    asked = [Sb3Network(model) for model in models]
    assert asked[1].stop_action
    assert torch.equal(*(net.logits(shown[0], 3)[0] for net in asked))
    nothing = {"periphery": 0, "prior": None, "belief": 0, "eye": None}
    folder = files.save_agent(asked[1].net, tmp_path / "agent", "agent", nothing)
    agents = [AgentPolicy.load(folder), AgentPolicy(asked[1], Observing((14, 14), 16))]
    for agent in agents:
        agent.reset(whole.images)
    assert torch.equal(*(agent.act(whole.view) for agent in agents))


def test_what_does_not_fit_is_refused(linear: Any, make_linear: Any, sample: Any) -> None:
    compact = build(linear, sample, "compact")
    space: Any = compact.single_observation_space
    with pytest.raises(ValueError, match="draws from 7 pictures .* has 2 of 'sample'"):
        CompactExtractor(space, PatchCache(Subset(sample, [0, 1]), 16))
    with pytest.raises(ValueError, match=r"tokens \(14, 14\).* with tokens \(28, 28\)"):
        CompactExtractor(space, PatchCache(sample, 8))
    whole = build(linear, sample, "tokens").single_observation_space
    with pytest.raises(ValueError, match="make the environment with observation='compact'"):
        CompactExtractor(whole, cache_of(compact))
    with pytest.raises(ValueError, match="takes no compact observations"):
        env = build(linear, sample, "tokens")
        open_pictures(model_on("dqn", env, policy_kwargs=pooled(None)), sample)

    class Many(Subset):
        def __len__(self) -> int:
            return 2**24 + 1

    many = Many(sample, range(7))
    with pytest.raises(ValueError, match="float32, which tells 16777216 pictures apart"):
        whole_space(compact_space(SaccadeConfig(), len(many)), PatchCache(many, 16))
