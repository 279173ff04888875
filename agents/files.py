"""A trained agent on disk: a folder with ``agent.safetensors`` and ``agent.json``.

Neither can hold code: reading them executes nothing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from saccade_env.agents.net import EXTRAS, TokenGridNet
from saccade_env.classifiers.weights_file import WeightsError, check_tensors
from saccade_env.errors import unknown_name

WEIGHTS, DESCRIPTION = "agent.safetensors", "agent.json"
SHIPPED = Path(__file__).parent / "pretrained"  # the agents that come with the package

_KEYS = ("name", "network", "observation", "max_saccades")
_NETWORK = ("channels", "blocks", "stop_action", "patch_size")
_OBSERVATION = ("periphery", "prior", "belief")
_BELIEF = 5  # BeliefObservation's default


def save_agent(net: TokenGridNet, folder: str | Path, description: dict[str, Any]) -> Path:
    """Write an agent.

    Args:
        net: Its network.
        folder: Made if it is not there.
        description: ``name`` and ``observation`` ({"periphery": side or 0, "prior": name or None,
            "belief": probabilities or 0, "activation": name of a classifier or None}), and
            whatever else shall be known, such as ``card``.
            ``network`` and ``max_saccades`` are read off the network.

    Returns:
        The folder.

    Raises:
        ValueError: The description lacks something, or contradicts the network.
    """
    patch_size = round((net.encoder.in_features / 3) ** 0.5)
    network = {
        "channels": net.channels,
        "blocks": net.blocks,
        "stop_action": net.stop_action,
        "patch_size": patch_size,
    }
    full = {"max_saccades": net.budget, **description, "network": network}
    _check(full, "the description")
    full["observation"] = check_observation(full["observation"], "the description")
    _check_extras(net, full["observation"])
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {key: value.detach().cpu().contiguous() for key, value in net.state_dict().items()}
    save_file(tensors, folder / WEIGHTS)
    text = json.dumps(full, indent=2, ensure_ascii=False)
    (folder / DESCRIPTION).write_text(text + "\n", encoding="utf-8")
    return folder


def available() -> list[str]:
    """Names of the agents that come with the package, for ``--policy`` and :func:`folder_of`."""
    return sorted(path.parent.name for path in SHIPPED.glob(f"*/{DESCRIPTION}"))


def folder_of(name: str) -> Path:
    """Where an agent is that comes with the package.

    Raises:
        ValueError: There is no such agent.
    """
    if name not in available():
        raise unknown_name("agent", name, available())
    return SHIPPED / name


def read_json(path: Path, what: str) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        FileNotFoundError: There is none; the message says what the folder holds.
        ValueError: It is no JSON object.
    """
    if not path.is_file():
        held = ", ".join(sorted(p.name for p in path.parent.glob("*"))[:8]) or "nothing"
        raise FileNotFoundError(f"{what} needs {path.name} in {path.parent}, which holds: {held}")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} must be a JSON object; got {type(found).__name__}")
    return found


def read_description(folder: Path) -> dict[str, Any]:
    """Read ``agent.json``.

    Raises:
        FileNotFoundError: It is not there.
        ValueError: It is no agent's.
    """
    found = read_json(folder / DESCRIPTION, "an agent")
    where = str(folder / DESCRIPTION)
    _check(found, where)
    return {**found, "observation": check_observation(found["observation"], where)}


def read_weights(net: TokenGridNet, folder: Path) -> None:
    """Fill the network from ``agent.safetensors``.

    Raises:
        FileNotFoundError: It is not there.
        WeightsError: It is damaged, or of another network.
    """
    path = folder / WEIGHTS
    if not path.is_file():
        raise FileNotFoundError(f"an agent needs {WEIGHTS} beside {folder / DESCRIPTION}")
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise WeightsError(f"{path} cannot be read as weights ({error}): get it again") from error
    fill(net, tensors, str(path))


def fill(net: TokenGridNet, tensors: dict[str, Tensor], what: str) -> None:
    """Load a state dict of the same network, on whatever grid it was trained.

    Raises:
        WeightsError: Keys or shapes are another network's.
    """
    check_tensors(tensors, net.state_dict(), what)
    try:
        net.load_state_dict(tensors)
    except RuntimeError as error:
        raise WeightsError(f"{what} is not of the network it is described as: {error}") from error


def _check(found: dict[str, Any], where: str) -> None:
    _check_has(found, _KEYS, where)
    _check_has(found["network"], _NETWORK, f"'network' of {where}")


def check_observation(observation: Any, where: str) -> dict[str, Any]:
    """What is observed beside the tokens, in the form of :func:`save_agent`.

    A training's card may say ``"none"`` for no prior, and true for a belief of five classes.

    Raises:
        ValueError: It lacks something.
    """
    _check_has(observation, _OBSERVATION, f"'observation' of {where}")
    prior, belief = observation["prior"], observation["belief"]
    return {
        "periphery": int(observation["periphery"]),
        "prior": None if prior == "none" else prior,
        "belief": _BELIEF if belief is True else int(belief),
        "activation": observation.get("activation"),
    }


def _check_has(found: Any, keys: tuple[str, ...], where: str) -> None:
    if not isinstance(found, dict):
        raise ValueError(f"{where} must be an object with {list(keys)}; got {found!r}")
    if missing := [key for key in keys if key not in found]:
        raise ValueError(f"{where} lacks {missing}; it has {sorted(found)}")


def _check_extras(net: TokenGridNet, observation: dict[str, Any]) -> None:
    said = (observation[key] for key in ("periphery", "prior", "belief", "activation"))
    names = zip(EXTRAS, said, strict=True)
    wanted = tuple(name for name, value in names if value)
    if wanted != net.extras:
        raise ValueError(f"the network takes in {net.extras}; the description says {wanted}")
