"""A trained agent on disk: a folder with ``agent.safetensors`` and ``agent.json``.

Neither can hold code: reading them executes nothing. What ``agent.json`` may say is
:data:`SCHEMA`; it is checked before anything is built from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from gymnasium import spaces
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from saccade_env import classifiers
from saccade_env.agents.net import EXTRAS, TokenGridNet
from saccade_env.classifiers.weights_file import WeightsError, check_tensors, empty, fill
from saccade_env.errors import unknown_name
from saccade_env.files import read_object, replacing, write_json
from saccade_env.observe.eye import WHOLE
from saccade_env.observe.sight import SHOWS

WEIGHTS, DESCRIPTION = "agent.safetensors", "agent.json"
CURVES = EVALUATIONS, IMITATION = "evaluations.csv", "imitation.csv"  # of its training, if beside
SHIPPED = Path(__file__).parent / "pretrained"  # the agents that come with the package
LARGEST_PERIPHERY = 1024  # pixels
_MEBIBYTE = 1 << 20


class Field(NamedTuple):
    """What a value must be, in words and as a test."""

    wanted: str
    allows: Callable[[Any], bool]


def _whole(low: int, high: int) -> Field:
    return Field(
        f"a whole number from {low} to {high}",
        lambda value: type(value) is int and low <= value <= high,
    )


def _width(value: Any) -> bool:
    return type(value) is int and 8 <= value <= 512 and value % 8 == 0


def _text(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 200 and value.isprintable()


def _eye(value: Any) -> bool:
    if value is None:
        return True
    if not isinstance(value, dict) or {*value} != {"classifier", "sees", "shows"}:
        return False
    name, sees, shows = value["classifier"], value["sees"], value["shows"]
    named = _text(name) and (name in classifiers.REGISTRY.entries or name.startswith("timm:"))
    whole = sees == WHOLE or (type(sees) is int and 1 <= sees <= LARGEST_PERIPHERY)
    return named and whole and isinstance(shows, list) and all(one in [*SHOWS] for one in shows)


OBSERVATION = {
    "periphery": _whole(0, LARGEST_PERIPHERY),
    "prior": Field("the name of a policy or null", lambda name: name is None or _text(name)),
    "belief": _whole(0, 1000),
    "eye": Field(
        "null or an object with 'classifier', the name of one, 'sees', \"image\" or up to "
        f"{LARGEST_PERIPHERY} pixels, and 'shows', a list of some of {', '.join(SHOWS)}",
        _eye,
    ),
}
#: JSON schema of ``agent.json``.
SCHEMA: dict[str, Any] = {
    "name": Field("a text of up to 200 characters", _text),
    "max_saccades": _whole(1, 10_000),
    "network": {
        "channels": Field("a multiple of 8 from 8 to 512", _width),
        "blocks": _whole(0, 32),
        "stop_action": Field("true or false", lambda value: isinstance(value, bool)),
        "embedding": _whole(0, 512),
        "patch_size": _whole(1, 64),
    },
    "observation": OBSERVATION,
    "card": Field("an object", lambda value: isinstance(value, dict)),
}


def check(found: Any, schema: Mapping[str, Any], where: str) -> None:
    """Let data pass that have exactly the fields of a schema.

    Raises:
        ValueError: A field is missing, unknown or wrong; the message begins with ``where``.
    """
    if not isinstance(found, dict):
        raise ValueError(f"{where} must be an object with {', '.join(schema)}; got {found!r:.80}")
    for key in found:
        if key not in schema:
            raise unknown_name(f"field of {where}:", key, schema)
    for key, rule in schema.items():
        if key not in found:
            raise ValueError(f"{where} lacks {key!r}; it has {', '.join(found) or 'nothing'}")
        if isinstance(rule, dict):
            check(found[key], rule, f"{where}, {key!r}")
        elif not rule.allows(found[key]):
            raise ValueError(f"{where}, {key!r} must be {rule.wanted}; got {found[key]!r:.80}")


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


def save_agent(
    net: TokenGridNet,
    folder: str | Path,
    name: str,
    observation: Mapping[str, Any],
    card: Mapping[str, Any] | None = None,
) -> Path:
    """Write an agent.

    Args:
        net: Its network.
        folder: Made if it is not there.
        name: Of the agent.
        observation: What it observes beside what is revealed: {"periphery": side or 0, "prior":
            name of a policy or None, "belief": probabilities or 0, "eye": description of an
            :class:`saccade_env.observe.eye.Eye` or None}.
        card: Whatever else shall be known, as plain data.

    Returns:
        The folder.

    Raises:
        ValueError: The description is none, or contradicts the network.
        WeightsError: A weight is NaN or infinite. Nothing is written.
    """
    folder, where = Path(folder), "the description"
    described = {
        "name": name,
        "max_saccades": net.budget,
        "network": {
            "channels": net.channels,
            "blocks": net.blocks,
            "stop_action": net.stop_action,
            "embedding": net.embedding,
            "patch_size": net.patch_size,
        },
        "observation": dict(observation),
        "card": dict(card or {}),
    }
    check(described, SCHEMA, where)
    said = zip(EXTRAS, (observation[key] for key in OBSERVATION), strict=True)
    if (wanted := tuple(name for name, value in said if value)) != net.extras:
        raise ValueError(f"the network takes in {net.extras}; {where} says {wanted}")
    tensors = {key: value.detach().cpu().contiguous() for key, value in net.state_dict().items()}
    check_tensors(tensors, tensors, f"agent {name!r}")
    with replacing(folder / WEIGHTS) as part:
        save_file(tensors, part)
    write_json(folder / DESCRIPTION, described)
    return folder


def read_description(folder: Path) -> dict[str, Any]:
    """Read ``agent.json``.

    Raises:
        FileNotFoundError: It is not there; the message says what the folder holds.
        OSError: It cannot be read, or is no JSON object.
        ValueError: It is no agent's; the message names file and field.
    """
    path = folder / DESCRIPTION
    if not path.is_file():
        held = ", ".join(sorted(p.name for p in folder.glob("*"))[:8]) or "nothing"
        raise FileNotFoundError(f"an agent needs {DESCRIPTION} in {folder}, which holds: {held}")
    if path.stat().st_size > _MEBIBYTE:
        raise ValueError(f"{path} is above 1 MiB: it is no agent's")
    found = {"card": {}, **read_object(path)}
    check(found, SCHEMA, str(path))
    return found


def read_weights(folder: Path, network: Mapping[str, Any], space: spaces.Dict) -> TokenGridNet:
    """The network that a description's ``network`` is of, from ``agent.safetensors``.

    Raises:
        FileNotFoundError: It is not there.
        WeightsError: It is damaged, another network's, or not finite.
    """
    path = folder / WEIGHTS
    if not path.is_file():
        raise FileNotFoundError(f"an agent needs {WEIGHTS} beside {folder / DESCRIPTION}")
    sizes = {key: value for key, value in network.items() if key != "patch_size"}
    net = empty(lambda: TokenGridNet(space, **sizes))
    largest = 8 * sum(tensor.numel() for tensor in net.parameters()) + _MEBIBYTE  # with its header
    if path.stat().st_size > largest:
        raise WeightsError(f"{path} is larger than the network it is described as: get it again")
    try:
        return fill(net, load_file(path), str(path))
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path} cannot be read as weights ({error}): get it again") from error
