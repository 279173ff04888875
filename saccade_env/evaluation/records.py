"""Records: one row per image, policy and saccade; everything else is computed from them.

:data:`COLUMNS` is what they hold; :func:`records_of` makes them, :func:`check_records` looks at
those that were read, and :func:`join` puts parts of a run together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence, Set
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from saccade_env import core
from saccade_env.classifiers import Classifier
from saccade_env.config import SaccadeConfig
from saccade_env.evaluation import agreement
from saccade_env.evaluation.cost import FORWARDS, Costs, Meter, seconds
from saccade_env.evaluation.rollout import Rollout, rollout
from saccade_env.images import Picture, stack

# What each column holds, by numpy's kinds of dtype: text, whole numbers, yes or no, real numbers.
COLUMNS = {
    "image": "O",
    "label": "i",  # -1 where unknown
    "policy": "O",
    "saccade": "i",  # from 1
    "row": "i",  # of the fixation; -1 where the episode is over
    "col": "i",
    "prediction": "i",
    "correct": "b",
    "certainty": "f",
    "visible_share": "f",
    "true_class_probability": "f",  # NaN without a label
    "full_prediction": "i",  # of the whole image
    "full_certainty": "f",
}
MAP_ENTROPY = "map_entropy"  # bits; NaN where a policy has no map, or one of values below 0
PREDICTED_GAIN = "predicted_gain"  # nats, of this saccade before it; NaN if the policy tells none
OPTIONAL = {
    **dict(zip(agreement.COLUMNS, "if", strict=True)),
    MAP_ENTROPY: "f",
    FORWARDS: "f",  # of the policy so far, see :mod:`.cost`; NaN where they cannot be counted
    PREDICTED_GAIN: "f",
}
_LARGEST = float(np.finfo(np.float32).max)


class Part(NamedTuple):
    """Some finished images of a run.

    Attributes:
        records: Theirs.
        broken: Those that could not be read, and why.
        seconds: By policy, the times of policy and classifier; empty if they are not known.
    """

    records: pd.DataFrame
    broken: list[dict[str, str]] = []  # noqa: RUF012 - nobody changes it
    seconds: dict[str, list[float]] = {}  # noqa: RUF012


def records_of(
    pictures: list[Picture],
    policies: dict[str, core.Policy],
    config: SaccadeConfig,
    classifier: Classifier,
    progressed: Callable[[int], object],
    checked: Set[str] = frozenset(),
    optional: Collection[str] = (),
    costs: Costs | None = None,
) -> Part:
    """Every policy on one batch; the images are taken in and seen in full once.

    The ``checked`` images are recomputed by a classifier with a KV cache. ``optional`` are those of
    :data:`OPTIONAL` that there shall be; ``forwards`` are told by ``costs``.
    """
    images, labels = stack(pictures)
    memory = classifier.begin(images)
    everything = torch.ones(len(images), *config.grid, dtype=torch.bool)
    whole = classifier.recomputing  # a cache would only be thrown away
    full_memory = memory if whole is classifier else whole.begin(images)
    logits = core.check_logits(whole.classify(full_memory, everything)[0].cpu(), classifier)
    blank = core.blank_logits(memory, ~everything, classifier)
    rows = [row for row, picture in enumerate(pictures) if picture.id in checked]
    frames, times = [], {}
    for name, policy in policies.items():
        meter = Meter(seconds)
        result = rollout(images, labels, policy, config, classifier, memory, blank, meter)
        times[name] = [sum(spent) for spent in meter.spent.values()]
        frame = frame_of(name, pictures, labels, logits, result)
        if checked:
            frame = frame.assign(**_recomputed(images, labels, rows, result, config, classifier))
        if MAP_ENTROPY in optional:
            entropy = np.repeat(_entropies(policy, images), config.max_saccades)
            frame = frame.assign(**{MAP_ENTROPY: entropy})
        if costs:
            frame = frame.assign(**{FORWARDS: _forwards(result, costs.forwards(name))})
        if PREDICTED_GAIN in optional:
            frame = frame.assign(**{PREDICTED_GAIN: _gains(result)})
        frames.append(frame)
        progressed(len(pictures))
    return Part(pd.concat(frames, ignore_index=True), seconds=times)


def frame_of(
    name: str, pictures: list[Picture], labels: Tensor, full_logits: Tensor, result: Rollout
) -> pd.DataFrame:
    """The rows of one policy on one batch; ``full_logits`` [batch, classes] of the whole images."""
    batch, saccades = result.prediction.shape
    by_image = {
        "image": np.array([picture.id for picture in pictures], dtype=object),
        "label": labels.cpu().numpy(),
        "full_prediction": full_logits.argmax(-1).cpu().numpy(),
        "full_certainty": core.certainty(full_logits).cpu().numpy(),
    }
    by_saccade = result._asdict()
    del by_saccade[PREDICTED_GAIN]
    rows, cols = np.moveaxis(by_saccade.pop("scanpath"), -1, 0)
    columns = {
        **{column: np.repeat(values, saccades) for column, values in by_image.items()},
        "policy": name,
        "saccade": np.tile(np.arange(1, saccades + 1), batch),
        "row": rows.ravel(),
        "col": cols.ravel(),
        **{column: values.ravel() for column, values in by_saccade.items()},
    }
    return pd.DataFrame(columns)[list(COLUMNS)]


def _recomputed(
    images: Tensor,
    labels: Tensor,
    rows: list[int],
    result: Rollout,
    config: SaccadeConfig,
    classifier: Classifier,
) -> dict[str, np.ndarray]:
    predictions, certainty = np.full(result.prediction.shape, -1), result.certainty * np.nan
    if rows:
        replay = agreement.Replay(result.scanpath[rows], config)
        again = rollout(images[rows], labels[rows], replay, config, classifier.recomputing)
        predictions[rows], certainty[rows] = again.prediction, again.certainty
    return dict(zip(agreement.COLUMNS, (predictions.ravel(), certainty.ravel()), strict=True))


def _forwards(result: Rollout, spent: Sequence[float]) -> Float[np.ndarray, " rows"]:
    """What the policy has spent up to each saccade; one that stops is asked for that once."""
    made = (result.scanpath[..., 0] >= 0).sum(1, keepdims=True)
    times = np.minimum(np.arange(1, result.prediction.shape[1] + 1), made + 1)
    return np.asarray(np.array(spent)[times].ravel())


def _gains(result: Rollout) -> Float[np.ndarray, " rows"]:
    if result.predicted_gain is None:
        return np.full(result.certainty.size, np.nan, dtype=np.float32)
    return result.predicted_gain.astype(np.float32).ravel()


def _entropies(
    policy: core.Policy, images: UInt8[Tensor, "batch 3 height width"]
) -> Float[np.ndarray, " batch"]:
    if not isinstance(policy, core.HasMaps):
        return np.full(len(images), np.nan, dtype=np.float32)
    maps = policy.maps(images)
    entropy = core.map_entropy(maps.clamp(min=0))
    return torch.where((maps < 0).flatten(1).any(1), torch.nan, entropy).cpu().numpy()


def check_records(
    records: pd.DataFrame,
    images: Collection[str],
    policies: Sequence[str],
    config: SaccadeConfig,
    num_classes: int,
    optional: Collection[str] = (),
) -> None:
    """Let records pass that an evaluation can have made: some of its images, each in full.

    Args:
        records: Read from a file.
        images: Ids of the evaluation's images.
        policies: Names of its policies.
        config: Its task.
        num_classes: Of its classifier.
        optional: Which of :data:`OPTIONAL` there are.

    Raises:
        ValueError: It cannot have made them; the message says why.
    """
    kinds = {**COLUMNS, **{name: kind for name, kind in OPTIONAL.items() if name in optional}}
    if list(records) != list(kinds):
        raise ValueError(f"expected the columns {list(kinds)}; got {list(records)}")
    for name, kind in kinds.items():
        found = records[name]
        text = pd.api.types.is_string_dtype(found) and found.notna().all()
        if not (text if kind == "O" else found.dtype.kind == kind):
            raise ValueError(f"column {name!r} holds {found.dtype}, which is not of kind {kind!r}")
    for name, known in (("image", images), ("policy", policies)):
        if unknown := set(records[name]) - set(known):
            raise ValueError(f"there is no {name} {min(unknown)!r} in this run")
    count = records["image"].nunique() * len(policies) * config.max_saccades
    if len(records) != count or records.duplicated(["image", "policy", "saccade"]).any():
        raise ValueError(f"an image lacks one of {config.max_saccades} saccades, or has one twice")
    may_be_unknown: dict[str, Any] = {
        "true_class_probability": records["label"] < 0,
        agreement.COLUMNS[1]: records.get(agreement.COLUMNS[0], records["label"]) < 0,
        **dict.fromkeys((MAP_ENTROPY, FORWARDS, PREDICTED_GAIN), True),
    }
    for name, (low, high) in _ranges(config, num_classes).items():
        if name in kinds:
            inside = records[name].between(low, high)
            if not (inside | (records[name].isna() & may_be_unknown.get(name, False))).all():
                raise ValueError(f"column {name!r} must be {low:g} to {high:g}")
    if (records["correct"] != (records["prediction"] == records["label"])).any():
        raise ValueError("column 'correct' is not whether prediction and label are equal")


def _ranges(config: SaccadeConfig, num_classes: int) -> dict[str, tuple[float, float]]:
    rows, cols = config.grid
    over, last = -int(config.stop_action), num_classes - 1
    return {
        "label": (-1, last),
        "saccade": (1, config.max_saccades),
        "row": (over, rows - 1),
        "col": (over, cols - 1),
        **dict.fromkeys(("prediction", "full_prediction"), (0, last)),
        **dict.fromkeys(("certainty", "visible_share", "full_certainty"), (0, 1)),
        "true_class_probability": (0, 1),
        **dict(zip(agreement.COLUMNS, ((-1, last), (0, 1)), strict=True)),
        MAP_ENTROPY: (0, math.log2(config.num_tokens) + 1e-3),
        FORWARDS: (0, _LARGEST),
        PREDICTED_GAIN: (-_LARGEST, _LARGEST),
    }


def join(parts: Sequence[Part], images: Sequence[str], policies: Sequence[str]) -> Part:
    """All of them in the order of the images, whatever order they were made in.

    An image may be in two parts: of a run that was killed while it put its parts together. One that
    was read in the end is not broken.
    """
    place = {image: place for place, image in enumerate(images)}
    filled = [part.records for part in parts if len(part.records)]
    records = pd.concat(filled, ignore_index=True) if filled else pd.DataFrame({"image": []})
    broken = {one["image"]: one for part in parts for one in part.broken}
    left = sorted(broken.keys() - {*records["image"]}, key=place.__getitem__)
    if filled:
        rank = records["policy"].map({policy: rank for rank, policy in enumerate(policies)})
        order = np.lexsort((records["saccade"], rank, records["image"].map(place)))
        records = records.iloc[order].drop_duplicates(["image", "policy", "saccade"])
    records = records.reset_index(drop=True)
    return Part(records, [broken[image] for image in left], _added(parts))


def _added(parts: Sequence[Part]) -> dict[str, list[float]]:
    """Times of all parts together; unknown if one's are."""
    filled = [part.seconds for part in parts if len(part.records)]
    if not filled or not all(filled):
        return {}
    return {name: np.sum([own[name] for own in filled], axis=0).tolist() for name in filled[0]}
