"""What the core relies on in a classifier: :func:`check_classifier`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from saccade_env.card import plain
from saccade_env.classifiers import base
from saccade_env.classifiers.base import Classifier, Convolutional, Weights
from saccade_env.images import Spec
from saccade_env.observe.activation import logits_of
from saccade_env.rows import replace_rows, take_rows
from saccade_env.testing.contract import Contract, far_apart, kind
from saccade_env.testing.material import pictures, random_path, with_others_hidden


def check_classifier(
    classifier: Classifier, images: Spec = "sample", tolerance: float = 1e-5
) -> None:
    """Let a classifier pass that environments and evaluations can rely on.

    Over a few saccades on a few pictures it checks its logits, that these are those of each picture
    and of what is revealed of it alone, and that rows of its memory can be taken and replaced.

    Args:
        classifier: In the state in which it is used.
        images: See :func:`saccade_env.images.create`; the shipped sample is brought to size.
        tolerance: Of logits that should be the same, as a share of the largest, or absolute below
            1. Half precision needs about 1e-2.

    Raises:
        ContractError: It does not keep its contract; the message says what to mend.
        ValueError: The images do not fit its grid.
    """
    contract = Contract(f"classifier {getattr(classifier, 'name', type(classifier).__name__)!r}")
    _check_attributes(classifier, contract)
    given, _ = pictures(images, classifier)
    trial = Trial(classifier, given, contract, tolerance)
    path = random_path(len(given), classifier)
    logits = trial.logits(path)
    _check_repeatable(trial, path, logits)
    _check_nothing(trial)
    _check_hidden(trial, path, logits)
    _check_sees(trial)
    _check_rows(trial, path, logits)
    _check_replaced(trial, path, logits)
    _check_recomputing(trial, path, logits)
    if isinstance(classifier, Convolutional):
        _check_convolutional(trial, classifier)


@dataclass(frozen=True)
class Trial:
    """Saccades on a few pictures."""

    classifier: Classifier
    images: Tensor
    contract: Contract
    tolerance: float

    def logits(self, path: list[Tensor], images: Tensor | None = None) -> list[Tensor]:
        """After each saccade, on the CPU; a memory is used once, as one with a cache has to be."""
        memory, found = self.begin(self.images if images is None else images), []
        for revealed in path:
            logits, memory = self.classify(memory, revealed)
            found.append(logits)
        return found

    def begin(self, images: Tensor) -> Any:
        what = f"begin(images) on {kind(images)}"
        changed = "begin(images) changed the images in place; copy them"
        with self.contract.lending(images, what, changed) as given:
            memory = self.classifier.begin(given)
        return memory

    def classify(self, memory: Any, revealed: Tensor) -> tuple[Tensor, Any]:
        what = f"classify(memory, revealed) on {kind(revealed)}"
        changed = "classify changed revealed in place; copy it"
        with self.contract.lending(revealed, what, changed) as given:
            answer = self.classifier.classify(memory, given)
        pair = isinstance(answer, tuple) and len(answer) == 2
        told = f"classify returned {kind(answer)}; expected a tuple (logits, memory)"
        self.contract.require(pair, told)
        return self._checked(answer[0], len(revealed)), answer[1]

    def same(self, found: Tensor, wanted: Tensor, broken: str) -> None:
        """Let logits pass that are the same; ``{gap}`` in the message is by how much they differ.

        Raises:
            ContractError: They are not.
        """
        gap = far_apart(found, wanted, self.tolerance)
        self.contract.require(not gap, broken.format(gap=f"{gap:.2g}"))

    def _checked(self, logits: Any, rows: int) -> Tensor:
        wanted = [rows, self.classifier.num_classes]
        right = isinstance(logits, Tensor) and logits.is_floating_point()
        self.contract.require(
            right and list(logits.shape) == wanted,
            f"classify returned logits {kind(logits)}; expected floats {wanted}: a row for each "
            "picture, a column for each of num_classes",
        )
        told = "logits hold the graph of gradients, which grows with every saccade; compute them "
        self.contract.require(not logits.requires_grad, f"{told}under torch.no_grad()")
        bad = (~logits.isfinite()).any(-1).nonzero().flatten().tolist()
        told = f"logits are NaN or infinite in rows {bad}; with nothing revealed, a mean over none?"
        self.contract.require(not bad, told)
        return logits.cpu()


def _check_attributes(classifier: Any, contract: Contract) -> None:
    with contract.doing("what it is made of"):
        base.check_classifier(classifier)
    name = contract.attribute(classifier, "name", str, "the name that reports call it")
    contract.require(bool(name), "name is empty; expected the name that reports call it")
    contract.two_sides(classifier.grid, "grid", "(rows, cols) of its tokens")
    for number, meaning in (("patch_size", "pixels"), ("num_classes", "classes")):
        found = contract.attribute(classifier, number, int, f"a whole number of {meaning} ≥ 1")
        contract.require(found >= 1, f"{number} is {found}; expected {meaning} ≥ 1")
    stated = "saccade_env.classifiers.Weights(source, sha256), which every result names"
    weights = contract.attribute(classifier, "weights", Weights, stated)
    told = f"weights are {weights}; expected both as text, '-' where there is none"
    contract.require(bool(weights.source and weights.sha256), told)
    contract.attribute(classifier, "device", torch.device, "a torch.device: torch.device('cpu')")
    with contract.doing("options as plain data, for the card of a run"):
        json.dumps(plain(classifier.options))
    contract.copied(classifier)


def _check_repeatable(trial: Trial, path: list[Tensor], logits: list[Tensor]) -> None:
    for found, wanted in zip(trial.logits(path), logits, strict=True):
        trial.same(
            found,
            wanted,
            "the same pictures gave other logits the second time (by up to {gap}); switch dropout "
            "off by network.eval(), and keep nothing of an episode but in its memory",
        )


def _check_nothing(trial: Trial) -> None:
    hidden = torch.zeros(len(trial.images), *trial.classifier.grid, dtype=torch.bool)
    [blank] = trial.logits([hidden])
    trial.same(
        blank,
        blank[:1].expand_as(blank),
        "with nothing revealed, logits depend on the picture (by up to {gap}); they must be the "
        "same for all, as environments ask for one picture alone",
    )


def _check_hidden(trial: Trial, path: list[Tensor], logits: list[Tensor]) -> None:
    other = with_others_hidden(trial.images, path[-1], trial.classifier.patch_size)
    for found, wanted in zip(trial.logits(path, other), logits, strict=True):
        trial.same(
            found,
            wanted,
            "pixels that are not revealed change the logits (by up to {gap}); drop hidden tokens, "
            "or paint them one colour before anything is computed over more than one token",
        )


def _check_sees(trial: Trial) -> None:
    everything = torch.ones(len(trial.images), *trial.classifier.grid, dtype=torch.bool)
    [whole] = trial.logits([everything])
    differ = far_apart(whole, whole[:1].expand_as(whole), trial.tolerance) > 0
    told = "different pictures, wholly revealed, have the same logits; does it use its memory?"
    trial.contract.require(differ, told)


def _check_rows(trial: Trial, path: list[Tensor], logits: list[Tensor]) -> None:
    for row in (0, len(trial.images) - 1):
        one = slice(row, row + 1)
        alone = trial.logits([revealed[one] for revealed in path], trial.images[one])
        for found, wanted in zip(alone, logits, strict=True):
            trial.same(
                found,
                wanted[one],
                f"row {row} has other logits alone than in its batch (by up to {{gap}}); each row "
                "must depend on itself alone: no batch statistics (network.eval()), no mean over "
                "the batch",
            )


def _check_replaced(trial: Trial, path: list[Tensor], logits: list[Tensor]) -> None:
    """An episode that begins anew in a running batch, as in vector environments."""
    first, contract = torch.tensor([0]), trial.contract
    _, memory = trial.classify(trial.begin(trial.images), path[0])
    rows = "of which an environment takes and replaces single rows; use tensors, or tuples, "
    mend = f"{rows}lists and dicts of tensors, batch first, or give it take_rows and replace_rows"
    with contract.doing("taking and replacing rows of its memory", mend):
        fresh = trial.begin(trial.images[-1:])
        memory = replace_rows(take_rows(memory, torch.arange(len(trial.images))), first, fresh)
    revealed = path[1].clone()
    revealed[0] = path[0][-1]
    found, _ = trial.classify(memory, revealed)
    trial.same(
        found,
        torch.cat((logits[0][-1:], logits[1][1:])),
        "after a row of its memory was replaced by a fresh episode, logits differ from those of "
        "the same episodes on their own (by up to {gap}); memory must hold all that belongs to an "
        "episode, row by row, and nothing may be kept in the classifier itself",
    )


def _check_recomputing(trial: Trial, path: list[Tensor], logits: list[Tensor]) -> None:
    plainly = trial.classifier.recomputing
    trial.contract.require(
        isinstance(plainly, Classifier) and tuple(plainly.grid) == tuple(trial.classifier.grid),
        f"recomputing is {plainly!r}; expected a classifier on the same grid: itself without cache",
    )
    if plainly is not trial.classifier:
        again = Trial(plainly, trial.images, trial.contract, trial.tolerance)
        told = "recomputing has other logits at the first saccade (by up to {gap}); expected its "
        trial.same(again.logits(path[:1])[0], logits[0], f"{told}own, without the cache alone")


@torch.no_grad()
def _check_convolutional(trial: Trial, network: Convolutional) -> None:
    with trial.contract.doing(f"features(images) on {kind(trial.images)}"):
        features = network.features(trial.images)
    channels = features.shape[1]
    shapes = [list(t.shape) for t in (network.class_weights, network.class_biases)]
    wanted = [[network.num_classes, channels], [network.num_classes]]
    told = f"class_weights and class_biases are {shapes}; expected {wanted}"
    trial.contract.require(shapes == wanted, f"{told}: [classes, channels of features], [classes]")
    expected = logits_of(network, features).cpu()
    everything = torch.ones(len(trial.images), *network.grid, dtype=torch.bool)
    trial.same(
        trial.logits([everything])[0],
        expected,
        "logits of whole pictures are not class_weights on the mean of features plus class_biases "
        "(by up to {gap}), which activation maps rely on; derive it from Classifier alone",
    )
