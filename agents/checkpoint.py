"""A training as a file: everything that is needed to go on exactly where it stopped.

Network and optimizer, the counters and the last observation of Stable-Baselines3, the random
numbers of Python, NumPy and PyTorch, and the environment with its episodes. Reading one unpickles:
read only what you have written yourself.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

CHECKPOINT = "checkpoint.pt"
# What SB3's algorithms keep between two rollouts, beside parameters and buffers; not all have all.
_FIELDS = (
    "num_timesteps", "_episode_num", "_n_updates", "_n_calls", "exploration_rate",
    "_current_progress_remaining", "_last_obs", "_last_episode_starts", "_last_lstm_states",
    "ep_info_buffer", "ep_success_buffer", "replay_buffer",
)  # fmt: skip
_MONITOR = ("episode_returns", "episode_lengths", "episode_count")

Shared = Mapping[str, Any]  # objects that are built anew instead of being kept: network, pictures


def save(path: Path, model: Any, monitor: Any, shared: Shared, card: dict[str, Any]) -> None:
    """Write a checkpoint between two rollouts; a file of that name is replaced once it is whole.

    Args:
        path: The file.
        model: An SB3 algorithm.
        monitor: Its ``VecMonitor`` around an :class:`SB3VecEnv`.
        shared: What the environment holds and is not to be kept, by names.
        card: Handed back by :func:`read`.
    """
    kept = {
        "card": card,
        "parameters": model.get_parameters(),
        "fields": {name: vars(model)[name] for name in _FIELDS if name in vars(model)},
        "monitor": {name: getattr(monitor, name) for name in _MONITOR},
        "env": _dumped(monitor.venv.env, shared),
        "random": random_states(),
    }
    replace_file(path, lambda part: torch.save(kept, part))


def read(path: Path) -> dict[str, Any]:
    """What :func:`save` wrote.

    Raises:
        FileNotFoundError: There is no such file.
    """
    if not path.exists():
        raise FileNotFoundError(
            f"nothing to resume: {path} is missing; leave out --resume and take a new folder"
        )
    return torch.load(path, map_location="cpu", weights_only=False)


def read_same(path: Path, card: dict[str, Any]) -> dict[str, Any]:
    """The same, of a training that its card describes.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is of another training.
    """
    kept = read(path)
    now = json.loads(json.dumps(card))
    for key, before in json.loads(json.dumps(kept["card"])).items():
        if key not in ("versions", "demonstrations") and now.get(key) != before:
            raise ValueError(
                f"{path} is of a training with another {key}: {before}, not {now.get(key)}; "
                "resume with the command that began it"
            )
    return kept


def environment(kept: dict[str, Any], shared: Shared) -> Any:
    """The environment of a checkpoint, holding the same shared objects."""
    return _Unpickler(io.BytesIO(kept["env"]), shared).load()


def restore(kept: dict[str, Any], model: Any, monitor: Any) -> None:
    """Bring a newly built model around the checkpoint's environment to where it was."""
    model.set_parameters(kept["parameters"], device=model.device)
    vars(model).update(kept["fields"])
    if "_last_lstm_states" in kept["fields"]:
        model._last_lstm_states = _moved(model._last_lstm_states, model.device)
    vars(monitor).update(kept["monitor"])
    set_random_states(kept["random"])


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
    torch.set_rng_state(states["torch"])
    if states["cuda"]:
        torch.cuda.set_rng_state_all(states["cuda"])


@contextmanager
def random_states_kept() -> Iterator[None]:
    """What is drawn within changes nothing that is drawn after."""
    states = random_states()
    try:
        yield
    finally:
        set_random_states(states)


def replace_file(path: Path, write: Any) -> None:
    """Write beside a file, then take its place: it is never half written."""
    part = path.with_name(f"{path.stem}.part{path.suffix}")
    write(part)
    os.replace(part, path)


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


def _moved(states: Any, device: Any) -> Any:
    """RecurrentPPO's states of the network: tuples of tensors."""
    if isinstance(states, torch.Tensor):
        return states.to(device)
    moved = [_moved(state, device) for state in states]
    return type(states)(*moved) if hasattr(states, "_fields") else tuple(moved)
