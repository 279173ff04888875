"""A training as a file: everything that is needed to go on exactly where it stopped.

Network and optimizer, the counters and the last observation of Stable-Baselines3, the random
numbers of Python, NumPy and PyTorch, and the environment with its episodes. Replay buffer and
environment are objects, so that reading one unpickles: read only what you have written yourself.
"""

from __future__ import annotations

import io
import json
import pickle
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from saccade_env.classifiers.weights_file import check_tensors
from saccade_env.files import replacing

CHECKPOINT = "checkpoint.pt"
# What SB3's algorithms keep between two rollouts, beside parameters and buffers; not all have all.
_FIELDS = (
    "num_timesteps", "_episode_num", "_n_updates", "_n_calls", "exploration_rate",
    "_current_progress_remaining", "_last_obs", "_last_episode_starts", "_last_lstm_states",
    "ep_info_buffer", "ep_success_buffer", "replay_buffer",
)  # fmt: skip
_KEPT = ("card", "evaluations", "parameters", "fields", "monitor", "env", "random")
_MONITOR = ("episode_returns", "episode_lengths", "episode_count")

Shared = Mapping[str, Any]  # objects that are built anew instead of being kept: network, pictures


def save(
    path: Path,
    model: Any,
    monitor: Any,
    shared: Shared,
    card: dict[str, Any],
    evaluations: list[dict[str, Any]],
) -> None:
    """Write a checkpoint between two rollouts; a file of that name is replaced once it is whole.

    Args:
        path: The file.
        model: An SB3 algorithm.
        monitor: Its ``VecMonitor`` around an :class:`SB3VecEnv`.
        shared: What the environment holds and is not to be kept, by names.
        card: Handed back by :func:`read`.
        evaluations: Likewise, the results so far.
    """
    kept = {
        "card": card,
        "evaluations": evaluations,
        "parameters": model.get_parameters(),
        "fields": {name: vars(model)[name] for name in _FIELDS if name in vars(model)},
        "monitor": {name: vars(monitor)[name] for name in _MONITOR},
        "env": _dumped(monitor.venv.env, shared),
        "random": random_states(),
    }
    with replacing(path) as part:
        torch.save(kept, part)


def read(
    path: Path, card: dict[str, Any] | None = None, device: str | torch.device = "cpu"
) -> dict[str, Any]:
    """What :func:`save` wrote, tensors on a device.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is damaged, of another version, or of another training than ``card`` tells.
    """
    if not path.exists():
        raise FileNotFoundError(
            f"nothing to resume: {path} is missing; leave out --resume and take a new folder"
        )
    with _whole(path):
        kept = torch.load(path, map_location=device, weights_only=False)
        kept = {"path": path, **{key: kept[key] for key in _KEPT}}
        begun = json.loads(json.dumps(kept["card"]))
    now = json.loads(json.dumps(card or begun))
    for key, before in begun.items():
        if key not in ("versions", "demonstrations") and now.get(key) != before:
            raise ValueError(
                f"{path} is of a training with another {key}: {before}, not {now.get(key)}; "
                "resume with the command that began it"
            )
    return kept


def environment(kept: dict[str, Any], shared: Shared) -> Any:
    """The environment of a checkpoint, holding the same shared objects.

    Raises:
        ValueError: It is damaged, or of another version.
    """
    with _whole(kept["path"]):
        return _Unpickler(io.BytesIO(kept["env"]), shared).load()


def restore(kept: dict[str, Any], model: Any, monitor: Any) -> None:
    """Bring a newly built model around the checkpoint's environment to where it was.

    Raises:
        ValueError: The checkpoint is damaged, or of another version.
    """
    with _whole(kept["path"]):
        model.set_parameters(kept["parameters"], device=model.device)
        vars(model).update(kept["fields"])
        vars(monitor).update(kept["monitor"])
        set_random_states(kept["random"])
        state = model.policy.state_dict()
        check_tensors(state, state, "the agent")


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # whatever a damaged pickle, or one of another version, raises
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"{path} is damaged, or of another version ({reason}): this training cannot go on. "
            "Begin one in another folder; model.zip and best.zip beside it are as they were"
        ) from error


def random_states() -> dict[str, Any]:
    """States of the global generators."""
    return {
        "python": random.getstate(),
        "numpy": np.random.get_state(),  # noqa: NPY002 - SB3 draws from it
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_random_states(states: dict[str, Any]) -> None:
    """Set the global generators."""
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])  # noqa: NPY002
    torch.set_rng_state(states["torch"].cpu())
    if states["cuda"]:
        torch.cuda.set_rng_state_all([state.cpu() for state in states["cuda"]])


@contextmanager
def random_states_kept() -> Iterator[None]:
    """What is drawn within changes nothing that is drawn after."""
    states = random_states()
    try:
        yield
    finally:
        set_random_states(states)


class _Pickler(pickle.Pickler):
    def __init__(self, file: Any, shared: Shared) -> None:
        super().__init__(file)
        self._names = {id(thing): name for name, thing in shared.items() if thing is not None}

    def persistent_id(self, thing: Any) -> Any:
        return self._names.get(id(thing))


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: Any, shared: Shared) -> None:
        super().__init__(file)
        self._shared = shared

    def persistent_load(self, name: str) -> Any:
        return self._shared[name]


def _dumped(env: Any, shared: Shared) -> bytes:
    file = io.BytesIO()
    _Pickler(file, shared).dump(env)
    return file.getvalue()
