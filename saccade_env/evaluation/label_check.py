"""Do the labels mean what the classifier means? Its accuracy on whole images says so.

Under labels in another order than the classifier's it is at chance, while its certainty is high.
Numbers are then read anew, in every order that data sets count ImageNet's classes in.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int

from saccade_env import core
from saccade_env.classifiers import Classifier
from saccade_env.evaluation.records import Part
from saccade_env.images import ImageSource, Picture, stack
from saccade_env.images.derived import sample
from saccade_env.images.feeding import batches, check_workers, chunked
from saccade_env.images.labels import INDICES, NUMBERED, READINGS, order

COUNT = 64  # pictures that tell
_FEWEST, _AT_CHANCE, _SURE, _WORTH_NAMING = 16, 0.05, 0.5, 0.3
_BATCH = 32


class LabelWarning(UserWarning):
    """Labels seem to mean something else than the classifier's classes."""


class LabelCheck(NamedTuple):
    """What a classifier makes of whole images under several readings of their labels.

    Attributes:
        given: How the labels were read; one of :data:`saccade_env.images.labels.READINGS`.
        images: How many were looked at.
        certainty: Mean, 0 to 1.
        accuracy: By reading, 0 to 1; the given one first.
        file: Name of the file of labels, if they are from one.
    """

    given: str
    images: int
    certainty: float
    accuracy: dict[str, float]
    file: str = ""

    @property
    def at_chance(self) -> bool:
        """Whether hardly an image is right though the classifier is sure."""
        wrong = self.accuracy[self.given] <= _AT_CHANCE and self.certainty >= _SURE
        return wrong and self.images >= _FEWEST

    @property
    def best(self) -> str:
        """The reading under which most images are right."""
        return max(self.accuracy, key=lambda reading: self.accuracy[reading])

    @property
    def tells(self) -> bool:
        """Whether the best reading is worth naming."""
        return self.images >= _FEWEST and self.accuracy[self.best] >= _WORTH_NAMING

    @property
    def option(self) -> str:
        """What ``--labels`` has to be for the best reading."""
        return f"{self.file}:{self.best}" if self.file else self.best

    @property
    def verdict(self) -> str:
        """What to do, in words; empty where nothing is wrong."""
        if not self.at_chance:
            return ""
        right = f"{100 * self.accuracy[self.given]:.1f} % of {self.images} whole images are right"
        found = f"{right} as labelled ({self.given}), though certainty is {self.certainty:.2f}"
        if not self.tells:
            return f"{found}: the labels mean something else than the classifier's classes"
        better = f"{100 * self.accuracy[self.best]:.1f} % if they are read as {self.best}"
        how = f"pass --labels {self.option} (labels={self.option!r})"
        if self.given not in NUMBERED:
            how = "whoever gave them these labels counted so"
        return f"{found}; {better} ({READINGS[self.best]}): {how}"


def check(
    labels: Int[np.ndarray, " images"],
    predictions: Int[np.ndarray, " images"],
    certainty: Float[np.ndarray, " images"],
    given: str,
) -> LabelCheck:
    """Compare predictions of whole images with labels that are class indices as ``given``."""
    written = {index: number for number, index in order(given).items()}
    numbers = [written[label] if given in NUMBERED else label for label in labels.tolist()]
    accuracy = {given: float((predictions == labels).mean())}
    for reading in NUMBERED:
        if reading != given and (given in NUMBERED or reading != INDICES):
            known = order(reading)
            read = np.array([known.get(number, -1) for number in numbers])
            accuracy[reading] = float((predictions == read).mean())
    return LabelCheck(given, len(labels), float(certainty.mean()), accuracy)


def of_parts(parts: Sequence[Part], source: ImageSource) -> LabelCheck | None:
    """Check what an evaluation has found so far; None without labels that are ImageNet's."""
    records = [part.records for part in parts if len(part.records)]
    if source.labels != "imagenet" or not records:
        return None
    images = pd.concat(table.drop_duplicates("image") for table in records)
    images = images[images["label"] >= 0]
    if images.empty:
        return None
    label, predicted, certainty = (
        images[name].to_numpy() for name in ("label", "full_prediction", "full_certainty")
    )
    return _of(source, label, predicted, certainty)


def tell(parts: Sequence[Part], source: ImageSource, enough: int = COUNT) -> bool:
    """Warn if the labels are wrong; False if there are not enough images yet to say so."""
    found = of_parts(parts, source)
    if found and found.images < enough:
        return False
    _warn(found, source)
    return True


def tell_of(source: ImageSource, classifier: Classifier) -> None:
    """Warn if the labels are wrong, from a sample of whole images."""
    _warn(of_source(source, look(source, classifier)), source)


def _warn(found: LabelCheck | None, source: ImageSource) -> None:
    if found and found.verdict:
        warnings.warn(f"{source.name}: {found.verdict}", LabelWarning, stacklevel=4)


class Looked(NamedTuple):
    """Whole images and what the classifier makes of them."""

    pictures: Sequence[Picture] = ()
    predictions: Sequence[int] = ()
    certainty: Sequence[float] = ()


def look(source: ImageSource, classifier: Classifier, count: int = COUNT, seed: int = 0) -> Looked:
    """Classify a random sample of whole images; those that cannot be read are passed over."""
    pictures, predictions, certainty = list[Picture](), list[int](), list[float]()
    chosen = sample(range(len(source)), count, seed)
    for batch in batches(source, chunked(chosen, _BATCH), "skip", check_workers(None)):
        if batch.pictures:
            pixels, judge = stack(batch.pictures)[0], classifier.recomputing
            everything = torch.ones(len(pixels), *judge.grid, dtype=torch.bool)
            found, _ = judge.classify(judge.begin(pixels), everything)
            logits = core.check_logits(found.cpu(), judge)
            pictures += batch.pictures
            predictions += logits.argmax(-1).tolist()
            certainty += core.certainty(logits).tolist()
    return Looked(pictures, predictions, certainty)


def of_source(source: ImageSource, looked: Looked) -> LabelCheck | None:
    """Check a sample of a source; None without labels that are ImageNet's."""
    labels = [picture.label for picture in looked.pictures]
    if source.labels != "imagenet" or not labels or None in labels:
        return None
    predictions, certainty = np.array(looked.predictions), np.array(looked.certainty)
    return _of(source, np.array(labels), predictions, certainty)


def _of(
    source: ImageSource, labels: np.ndarray, predictions: np.ndarray, certainty: np.ndarray
) -> LabelCheck:
    """The check, with how the source says that its labels were read."""
    given = source.description.get("labels_read_as", INDICES)
    found = check(labels, predictions, certainty, given)
    return found._replace(file=source.description.get("label_file", ""))
