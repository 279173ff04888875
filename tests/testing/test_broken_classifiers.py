"""Classifiers that each break one promise, and what their authors are told."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch
from small_cnns import small_cnn

from saccade_env import images
from saccade_env.classifiers import Weights
from saccade_env.classifiers.cnn import CnnClassifier
from saccade_env.testing import ContractError, LinearClassifier, check_classifier


class Good(LinearClassifier):
    """Leaves and dims the logits of the fast one."""


@pytest.mark.parametrize("size", [(224, 224), (32, 48), (16, 80)])
def test_one_that_keeps_all_passes(size: tuple[int, int]) -> None:
    check_classifier(Good(size))


def test_convolutional_ones_pass() -> None:
    check_classifier(small_cnn())


class Alien:
    name = "alien"


class Nameless(Good):
    name = ""


class Classless(Good):
    def __init__(self) -> None:
        super().__init__()
        self.num_classes = 0


class Anonymous(Good):
    weights: Any = "random"


class Untold(Good):
    weights = Weights("", "")


class Cuda(Good):
    device: Any = "cpu"


class Flat(Good):
    def __init__(self) -> None:
        super().__init__()
        self.grid: Any = 196


class Objects(Good):
    options: Any = {"network": object()}  # noqa: RUF012


class LogitsAlone(Good):
    def classify(self, memory: Any, revealed: Any) -> Any:
        return super().classify(memory, revealed)[0]


class OneMore(Good):
    def classify(self, memory: Any, revealed: Any) -> Any:
        logits, memory = super().classify(memory, revealed)
        return torch.nn.functional.pad(logits, (0, 1)), memory


class Mean(Good):
    def classify(self, memory: Any, revealed: Any) -> Any:
        logits, memory = super().classify(memory, revealed)
        return logits / revealed.flatten(1).sum(1, keepdim=True), memory


class Trains(Good):
    def __init__(self) -> None:
        super().__init__()
        self.matrix.requires_grad_()


class Dropout(Good):
    def classify(self, memory: Any, revealed: Any) -> Any:
        logits, memory = super().classify(memory, revealed)
        return torch.nn.functional.dropout(logits), memory


class SeesAll(Good):
    def classify(self, memory: Any, revealed: Any) -> Any:
        return super().classify(memory, revealed | revealed.flatten(1).any(1)[:, None, None])


class Hints(Good):
    def classify(self, memory: Any, revealed: Any) -> Any:
        return super().classify(memory, torch.ones_like(revealed))


class Blind(Good):
    def classify(self, memory: Any, revealed: Any) -> Any:
        return super().classify(torch.ones_like(memory), revealed)


class Batch(Good):
    def classify(self, memory: Any, revealed: Any) -> Any:
        logits, memory = super().classify(memory, revealed)
        return logits - logits.mean(0), memory


class Keeps(Good):
    """Its memory is in itself."""

    def begin(self, images: Any) -> Any:
        self.kept = super().begin(images)
        return torch.zeros(len(images))

    def classify(self, memory: Any, revealed: Any) -> Any:
        kept = self.kept if len(self.kept) == len(revealed) else self.kept[:1]
        return super().classify(kept.expand(len(revealed), -1, -1), revealed)[0], memory


class Opaque(Good):
    def begin(self, images: Any) -> Any:
        return {"tokens": super().begin(images), "size": "large"}

    def classify(self, memory: Any, revealed: Any) -> Any:
        return super().classify(memory["tokens"], revealed)[0], memory


class Paints(Good):
    def begin(self, images: Any) -> Any:
        return super().begin(images.clamp_(max=99))


class Opens(Good):
    def classify(self, memory: Any, revealed: Any) -> Any:
        answer = super().classify(memory, revealed)
        revealed[:] = True
        return answer


class FloatsOnly(Good):
    def begin(self, images: Any) -> Any:
        return super().begin(torch.linalg.inv(images))


class Locked(Good):
    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()


class Other(Good):
    recomputing: Any = LinearClassifier((32, 32))


class Same(Good):
    @property
    def recomputing(self) -> Any:
        return Twice()


class Twice(Good):
    def classify(self, memory: Any, revealed: Any) -> Any:
        logits, memory = super().classify(memory, revealed)
        return 2 * logits, memory


BROKEN = {
    Alien: "raised TypeError: Alien is no classifier: it lacks .*derive it from saccade_env.Class",
    Nameless: "name is empty",
    Classless: "num_classes is 0; expected classes ≥ 1",
    Anonymous: r"weights is 'random'; expected saccade_env.classifiers.Weights\(source, sha256\)",
    Untold: "expected both as text, '-' where there is none",
    Cuda: r"device is 'cpu'; expected a torch.device",
    Flat: r"grid is 196; expected \(rows, cols\) of its tokens, two whole numbers",
    Objects: "options as plain data, for the card of a run raised TypeError",
    LogitsAlone: r"classify returned torch.float32 \[4, 7\]; expected a tuple \(logits, memory\)",
    OneMore: r"returned logits torch.float32 \[4, 8\]; expected floats \[4, 7\]",
    Mean: r"logits are NaN or infinite in rows \[0, 1, 2, 3\]; with nothing revealed, a mean",
    Trains: r"hold the graph of gradients.*under torch.no_grad\(\)",
    Dropout: r"gave other logits the second time \(by up to .*network.eval\(\)",
    SeesAll: "pixels that are not revealed change the logits .*paint them one colour",
    Hints: "with nothing revealed, logits depend on the picture",
    Blind: "different pictures, wholly revealed, have the same logits",
    Batch: "row 0 has other logits alone than in its batch .*no mean over the batch",
    Keeps: "a row of its memory was replaced.*nothing may be kept in the classifier itself",
    Opaque: "rows of its memory raised TypeError: .*got str; .*take_rows and replace_rows",
    Paints: r"begin\(images\) changed the images in place",
    Opens: "classify changed revealed in place",
    FloatsOnly: r"begin\(images\) on torch.uint8 \[4, 3, 224, 224\] raised RuntimeError",
    Locked: "pickling it raised TypeError",
    Other: "recomputing is .*expected a classifier on the same grid",
    Same: "recomputing has other logits at the first saccade",
}


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_what_to_mend_is_said(broken: Any) -> None:
    with pytest.raises(ContractError, match=BROKEN[broken]):
        check_classifier(broken())


@pytest.mark.parametrize(
    ("biases", "message"),
    [
        (torch.ones(7), "not class_weights on the mean of features plus"),
        (torch.ones(3), r"\[3\]\]; ex"),
    ],
)
def test_convolutional_ones_say_what_they_are(
    biases: torch.Tensor, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CnnClassifier, "class_biases", biases)
    with pytest.raises(ContractError, match=message):
        check_classifier(small_cnn())


def test_less_precise_ones_say_how_much() -> None:
    class Half(Good):
        def classify(self, memory: Any, revealed: Any) -> Any:
            logits, memory = super().classify(memory, revealed)
            return logits + 1e-3 * len(memory), memory

    with pytest.raises(ContractError, match=r"alone than in its batch \(by up to 0.003\)"):
        check_classifier(Half())
    check_classifier(Half(), tolerance=1e-2)


def test_pictures_must_fit() -> None:
    with pytest.raises(ValueError, match=r"of \(32, 32\) pixels, .*; got 34 of \(224, 224\)"):
        check_classifier(Good((32, 32)), images.create("sample"))
