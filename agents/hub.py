"""Trained agents on the Hub: what is pushed of one, and ``hf:NAME[@REVISION]`` to its folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open

from saccade_env.agents.files import CURVES, DESCRIPTION, WEIGHTS, read_description
from saccade_env.classifiers.weights_file import WeightsError, sha256
from saccade_env.evaluation.hub import eval_results, finished, results_table
from saccade_env.hub import card
from saccade_env.hub.download import fetch
from saccade_env.hub.manifest import Publication, there
from saccade_env.registry import MODEL, parse_spec

PREFIX = "hf"


class Named(NamedTuple):
    """An agent of the Hub in its cache.

    Attributes:
        folder: With ``agent.json`` and ``agent.safetensors``, held against the manifest.
        source: ``hf:NAME@COMMIT``, which names these very files for good.
        parameters: What else the name said, as text.
    """

    folder: Path
    source: str
    parameters: dict[str, str]


def find(name: str) -> Named:
    """Get the agent that ``"hf:NAME[@REVISION][,key=value…]"`` names, if the cache lacks it.

    Raises:
        ConnectionError: Neither Hub nor cache has it.
        OSError: There is none, it is not for this user, or a file is not what was pushed.
        ValueError: The name is none, or what it names is no agent of ours.
    """
    base, parameters = parse_spec(name)
    repo, at, revision = parameters.pop(MODEL, "").partition("@")
    if base != PREFIX or not repo or (at and not revision):
        raise ValueError(
            f"an agent on the Hub is {PREFIX}:NAME or {PREFIX}:NAME@REVISION; got {name!r}"
        )
    found = fetch(repo, revision or None, "agent", (DESCRIPTION, WEIGHTS))
    return Named(found.folder, f"{PREFIX}:{repo}@{found.commit}", parameters)


def publication(
    folder: Path, repo: str, licence: str | None = None, results: Sequence[Path] = ()
) -> Publication:
    """What is pushed of an agent: description, weights and the curves of its training.

    Args:
        folder: With ``agent.json`` and ``agent.safetensors``.
        repo: What it will be called, for the card.
        licence: As the Hub names it, such as ``"apache-2.0"``.
        results: Folders of evaluations in which it took part, for the card.

    Raises:
        OSError: A file is missing or damaged.
        ValueError: The description is no agent's, or an evaluation is of other weights.
        WeightsError: The weights are no safetensors.
    """
    described = read_description(folder)
    _check_weights(folder / WEIGHTS)
    name, own = f"{PREFIX}:{repo}", sha256(folder / WEIGHTS)
    summaries = [finished(path) for path in results]
    played = [_played(summary, path, own) for summary, path in zip(summaries, results, strict=True)]
    pairs = list(zip(summaries, played, strict=True))
    told = [one for summary, policy in pairs for one in eval_results(summary, policy, name)]
    tables = [
        f"{_on(summary)}\n\n{results_table({described['name']: summary['results'][policy]})}"
        for summary, policy in pairs
    ]
    text = card.agent_card(described["name"], licence, told, _body(described, name, tables))
    return Publication("agent", folder, there(folder, (DESCRIPTION, WEIGHTS, *CURVES)), text)


def _check_weights(path: Path) -> None:
    try:
        with safe_open(path, "pt") as file:
            file.keys()
    except (OSError, SafetensorError) as error:
        raise WeightsError(
            f"{path} cannot be read as weights ({error}): export it again"
        ) from error


def _played(summary: dict[str, Any], folder: Path, own: str) -> str:
    """What an evaluation calls the agent with these weights."""
    seen = {name: (said.get("weights") or {}).get("sha256", "none")
            for name, said in summary["policies"].items()}  # fmt: skip
    for name, found in seen.items():
        if found == own:
            return name
    raise ValueError(
        f"{folder} is no evaluation of this agent, whose weights have SHA-256 {own}; its policies' "
        f"have: {', '.join(f'{name} {found[:12]}' for name, found in seen.items())}"
    )


def _on(summary: dict[str, Any]) -> str:
    count, name = summary["full_image"]["images"], summary["images"]["name"]
    return f"On {count} images of {name}, judged by {summary['classifier']['name']}:"


def _body(described: dict[str, Any], name: str, tables: list[str]) -> str:
    observed = {key: value for key, value in described["observation"].items() if value}
    network, saccades = _listed(described["network"]), described["max_saccades"]
    facts = [
        f"- It observes, beside what is revealed: {_listed(observed) or 'nothing'}.",
        f"- Network: {network}; made for {saccades} saccades.",
        *_training(described["card"]),
    ]
    parts = [
        f"# {described['name']}",
        "An agent that decides where a fovea looks next in an image.",
        f"```bash\npip install 'saccade-env[hub]'\nsaccade-env evaluate --policy {name}\n```",
        "\n".join(facts),
        *(["## Results", *tables] if tables else []),
    ]
    return "\n\n".join(parts)


def _training(known: dict[str, Any]) -> list[str]:
    """What the training wrote down; the whole of it is the card in ``agent.json``."""
    lines = []
    if "algo" in known and "images" in known:
        images, judge = known["images"], known.get("classifier", {})
        lines.append(f"- Trained by {known['algo']} with seed {known.get('seed')} on "
                     f"{images.get('count')} images of {images.get('name')}, judged by "
                     f"{judge.get('name')}, for the reward {known.get('reward')}.")  # fmt: skip
    if isinstance(best := known.get("evaluation"), dict) and "accuracy" in best:
        lines.append(f"- On {known.get('held_back', {}).get('count')} images held back from it: "
                     f"{100 * best['accuracy']:.1f} % right, mean over saccades.")  # fmt: skip
    return lines


def _listed(values: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items())
