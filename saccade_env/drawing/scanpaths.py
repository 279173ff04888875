"""Recorded scanpaths as plain data, for one picture and any number of policies: what is played.

Places are (row, col) in tokens, token indices row-major; shares and certainties are from 0 to 1::

    {"format": "saccade-env/scanpaths", "version": 1,
     "title": str, "classifier": str,
     "grid": [rows, cols], "fovea": tokens, "max_saccades": int,
     "picture": data URI, URL or null,
     "label": class or null,
     "full": {"certainty": x, "top5": [[class, probability], …]} of the whole image, or null,
     "policies": [
       {"name": str,
        "sees": "", "no", "yes", or in words what it sees besides what it reveals,
        "saliency": [rows · cols whole numbers from 0 to 255] or null,
        "saccades": [
          {"fixation": [row, col], null in the first, which is before any saccade,
           "reveals": [tokens revealed now that were not before],
           "visible_share": x, "certainty": x, "top5": [[class, probability], …],
           "right": true, false, or null without a label}, …]}, …]}

The policies may have made different numbers of saccades. Classes are text.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from saccade_env import core
from saccade_env.config import SaccadeConfig
from saccade_env.drawing.data_uri import picture_uri
from saccade_env.drawing.frame import class_name

FORMAT, VERSION = "saccade-env/scanpaths", 1
EMBED = "embed"  # the picture into the data
_DIGITS = 4
_LONGEST = 1000  # tokens on a side


class Run(NamedTuple):
    """One policy's episodes.

    Attributes:
        name: Of the policy.
        states: Before the first saccade and after each, as ``rollout.follow`` gives them.
        sees: What it sees besides what it reveals, see ``card.what_it_sees``; empty: not said.
        saliency: The map it follows, if any.
    """

    name: str
    states: Sequence[core.State]
    sees: str = ""
    saliency: Float[Tensor, "rows cols"] | None = None


def scanpaths(
    runs: Sequence[Run],
    config: SaccadeConfig,
    class_names: Sequence[str] | None = None,
    row: int = 0,
    full: Float[Tensor, " classes"] | None = None,
    title: str = "",
    classifier: str = "",
    picture: str | None = EMBED,
) -> dict[str, Any]:
    """Put what policies did on one picture into plain data.

    Args:
        runs: One a policy, all on the same picture.
        config: The task.
        class_names: One a class; of synonyms separated by commas the first is taken.
        row: Which episode of the batches.
        full: Logits of the whole image.
        title: Headline.
        classifier: Its name.
        picture: A URL to refer to, None for no picture; by default it is embedded as JPEG.

    Raises:
        ValueError: There is no run, or one without states.
    """
    if not runs or not all(run.states for run in runs):
        raise ValueError("scanpaths need at least one run, each with at least one state")
    first = runs[0].states[0]
    label = int(first.labels[row])
    image = _embedded(first.images[row]) if picture == EMBED else picture
    logits = None if full is None else full[None]
    return {
        "format": FORMAT,
        "version": VERSION,
        "title": title,
        "classifier": classifier,
        "grid": list(config.grid),
        "fovea": config.fovea,
        "max_saccades": config.max_saccades,
        "picture": image,
        "label": None if label == core.UNLABELLED else class_name(label, class_names),
        "full": None if logits is None else {
            "certainty": _rounded(core.certainty(logits)[0]),
            "top5": _best(logits[0], class_names),
        },
        "policies": [_policy(run, class_names, row) for run in runs],
    }  # fmt: skip


def _policy(run: Run, class_names: Sequence[str] | None, row: int) -> dict[str, Any]:
    made = int(run.states[-1].saccades_done[row])  # a row that stopped is as it was ever after
    saliency = None if run.saliency is None else _levels(run.saliency)
    moments = [_moment(run.states, done, class_names, row) for done in range(made + 1)]
    return {"name": run.name, "sees": run.sees, "saliency": saliency, "saccades": moments}


def _moment(
    states: Sequence[core.State], done: int, class_names: Sequence[str] | None, row: int
) -> dict[str, Any]:
    state = states[done]
    fresh = state.revealed[row] & ~states[done - 1].revealed[row] if done else state.revealed[row]
    labelled = int(state.labels[row]) != core.UNLABELLED
    return {
        "fixation": state.fixations[row, done - 1].tolist() if done else None,
        "reveals": fresh.flatten().nonzero()[:, 0].tolist(),
        "visible_share": _rounded(core.visible_share(state.revealed)[row]),
        "certainty": _rounded(state.certainty[row]),
        "top5": _best(state.logits[row], class_names),
        "right": bool(core.correct(state)[row]) if labelled else None,
    }


def _best(
    logits: Float[Tensor, " classes"], class_names: Sequence[str] | None
) -> list[list[str | float]]:
    shares, numbers = logits.float().softmax(-1).sort(descending=True, stable=True)
    pairs = zip(numbers[:5].tolist(), shares[:5].tolist(), strict=True)
    return [[class_name(number, class_names), _rounded(share)] for number, share in pairs]


def _levels(saliency: Float[Tensor, "rows cols"]) -> list[int]:
    """From the lowest value, 0, to the highest, 255."""
    finite = saliency.detach().float().cpu().nan_to_num(0).flatten()
    above = finite - finite.min()
    levels: list[int] = (255 * above / above.max().clamp(min=1e-12)).round().int().tolist()
    return levels


def _rounded(value: Tensor | float) -> float:
    return round(float(value), _DIGITS)


def _embedded(image: UInt8[Tensor, "3 height width"]) -> str:
    pixels = Image.fromarray(image.permute(1, 2, 0).cpu().numpy())
    return picture_uri(pixels, "JPEG", quality=90, optimize=True)


def check_scanpaths(document: Any) -> dict[str, Any]:
    """Pass scanpaths that can be played through.

    Raises:
        ValueError: They are in another format or version, or damaged; the message says where.
    """
    if not isinstance(document, Mapping) or document.get("format") != FORMAT:
        raise ValueError(
            f"scanpaths must be a JSON object of format {FORMAT!r}; got {document!r:.60}"
        )
    if document.get("version") != VERSION:
        raise ValueError(f"scanpaths must be of version {VERSION}; got {document.get('version')!r}")
    _check_task(document)
    policies: Any = document.get("policies")
    there = _is_list(policies) and len(policies) > 0
    _need(there, "policies", "a list that is not empty", policies)
    for number, policy in enumerate(policies):
        _check_policy(policy, f"policies[{number}]", document["grid"])
    return dict(document)


def _check_task(document: Mapping[str, Any]) -> None:
    for key in ("title", "classifier"):
        _need(isinstance(document.get(key), str), key, "text", document.get(key))
    for key in ("picture", "label"):
        value = document.get(key)
        _need(value is None or isinstance(value, str), key, "text or null", value)
    grid: Any = document.get("grid")
    sides = _is_list(grid, 2) and all(_is_whole(side, 1, _LONGEST) for side in grid)
    _need(sides, "grid", f"[rows, cols], each 1 to {_LONGEST}", grid)
    fovea: Any = document.get("fovea")
    _need(_is_whole(fovea, 1) and fovea % 2 == 1, "fovea", "odd", fovea)
    budget = document.get("max_saccades")
    _need(_is_whole(budget, 1), "max_saccades", "a whole number ≥ 1", budget)
    if document.get("full") is not None:
        _check_judgement(document["full"], "full")


def _check_policy(policy: Any, place: str, grid: Sequence[int]) -> None:
    _need(isinstance(policy, Mapping), place, "an object", policy)
    for key in ("name", "sees"):
        _need(isinstance(policy.get(key), str), f"{place}.{key}", "text", policy.get(key))
    tokens, saliency = grid[0] * grid[1], policy.get("saliency")
    fits = saliency is None or (
        _is_list(saliency, tokens) and all(_is_whole(level, 0, 255) for level in saliency)
    )
    _need(fits, f"{place}.saliency", f"{tokens} whole numbers from 0 to 255, or null", saliency)
    saccades = policy.get("saccades")
    there = _is_list(saccades) and len(saccades) > 0
    _need(there, f"{place}.saccades", "a list that is not empty", saccades)
    for number, saccade in enumerate(saccades):
        _check_saccade(saccade, f"{place}.saccades[{number}]", grid, first=number == 0)


def _check_saccade(saccade: Any, place: str, grid: Sequence[int], first: bool) -> None:
    _check_judgement(saccade, place)
    fixation, reveals = saccade.get("fixation"), saccade.get("reveals")
    inside = _is_list(fixation, 2) and all(
        _is_whole(where, 0, side - 1) for where, side in zip(fixation, grid, strict=True)
    )
    wanted = "null" if first else f"[row, col] on a grid of {grid}"
    _need(fixation is None if first else inside, f"{place}.fixation", wanted, fixation)
    last = grid[0] * grid[1] - 1
    tokens = _is_list(reveals) and all(_is_whole(token, 0, last) for token in reveals)
    _need(tokens, f"{place}.reveals", f"a list of tokens from 0 to {last}", reveals)
    share, right = saccade.get("visible_share"), saccade.get("right")
    _need(_is_share(share), f"{place}.visible_share", "from 0 to 1", share)
    _need(right is None or isinstance(right, bool), f"{place}.right", "true, false or null", right)


def _check_judgement(found: Any, place: str) -> None:
    _need(isinstance(found, Mapping), place, "an object", found)
    certainty, best = found.get("certainty"), found.get("top5")
    _need(_is_share(certainty), f"{place}.certainty", "from 0 to 1", certainty)
    pairs = _is_list(best) and all(
        _is_list(pair, 2) and isinstance(pair[0], str) and _is_share(pair[1]) for pair in best
    )
    _need(pairs, f"{place}.top5", "a list of [class, probability]", best)


def _need(holds: bool, place: str, wanted: str, found: Any) -> None:
    if not holds:
        raise ValueError(f"{place} of the scanpaths must be {wanted}; got {found!r:.60}")


def _is_list(value: Any, length: int | None = None) -> bool:
    return isinstance(value, list) and (length is None or len(value) == length)


def _is_whole(value: Any, low: int, high: float = math.inf) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
