"""Policies that each break one promise, and what their authors are told."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch

from saccade_env import SaccadeConfig, core, policies
from saccade_env.testing import ContractError, LinearClassifier, check_policy


class Good:
    """The first open cell in an order of its own."""

    name, sees_full_image, grid = "mine", False, (14, 14)

    def reset(self, images: torch.Tensor) -> None:
        self.images, self.asked = images, 0

    def act(self, view: Any) -> Any:
        return self.scores(view).masked_fill(view.inhibition.flatten(1), -1e9).argmax(-1)

    def scores(self, view: Any) -> torch.Tensor:
        return (torch.arange(196) * 37 % 196).float().expand(len(view.revealed), -1)

    def bright(self) -> torch.Tensor:
        return torch.nn.functional.avg_pool2d(self.images.float(), 16).sum(1).flatten(1)


class Gains(Good):
    def predicted_gain(self, view: Any) -> Any:
        return view.certainty.float()


@pytest.mark.parametrize("policy", [Good(), Gains()])
def test_one_that_keeps_all_passes(policy: Any) -> None:
    check_policy(policy)


class Nameless(Good):
    name = ""


class Silent(Good):
    sees_full_image: Any = "no"


class Actless(Good):
    act: Any = None


class FlatGrid(Good):
    grid: Any = 196


class OtherGrid(Good):
    grid = (7, 7)


class Odd(Good):
    weights = "mine.pt"


class InNumPy(Good):
    def act(self, view: Any) -> Any:
        return super().act(view).numpy()


class RowCol(Good):
    def act(self, view: Any) -> Any:
        index = super().act(view)
        return torch.stack((index // 14, index % 14), -1)


class Floats(Good):
    def act(self, view: Any) -> Any:
        return super().act(view).float()


class Outside(Good):
    def act(self, view: Any) -> Any:
        return super().act(view) + 100


class Stops(Good):
    def act(self, view: Any) -> Any:
        return torch.where(view.saccades_done > 2, 196, super().act(view))


class Writes(Good):
    def act(self, view: Any) -> Any:
        view.revealed[:] = True
        return super().act(view)


class Paints(Good):
    def reset(self, images: torch.Tensor) -> None:
        super().reset(images.clamp_(max=100))


class Stays(Good):
    def act(self, view: Any) -> Any:
        return torch.full((len(view.revealed),), 30)


class Global(Good):
    def scores(self, view: Any) -> torch.Tensor:
        return torch.rand(len(view.revealed), 196)


class Seeded(Good):
    def __init__(self) -> None:
        self.generator = torch.Generator().manual_seed(0)

    def scores(self, view: Any) -> torch.Tensor:
        return torch.rand(len(view.revealed), 196, generator=self.generator)

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __setstate__(self, state: Any) -> None:
        Seeded.__init__(self)


class Together(Good):
    def reset(self, images: torch.Tensor) -> None:
        super().reset(images)
        self.generator = torch.Generator().manual_seed(0)

    def scores(self, view: Any) -> torch.Tensor:
        return torch.rand(len(view.revealed), 196, generator=self.generator)


class Mean(Good):
    sees_full_image = True

    def scores(self, view: Any) -> torch.Tensor:
        return (self.bright() - self.bright().mean(0)).abs()


class FirstRow(Good):
    """It takes the whole batch to be where its first row is."""

    def scores(self, view: Any) -> torch.Tensor:
        scores = super().scores(view)
        return scores.roll(int(view.saccades_done[0]), 1)


class OfFour(Good):
    def reset(self, images: torch.Tensor) -> None:
        super().reset(images)
        self.seats = getattr(self, "seats", torch.zeros(len(images), 196))

    def scores(self, view: Any) -> torch.Tensor:
        return super().scores(view) + self.seats


class Peeks(Good):
    def scores(self, view: Any) -> torch.Tensor:
        return self.bright()


class PeeksLater(Good):
    """At the first saccade it does not."""

    def scores(self, view: Any) -> torch.Tensor:
        later = view.saccades_done[:, None] > 0
        return torch.where(later, self.bright(), super().scores(view))


class Locked(Good):
    def __init__(self) -> None:
        self.lock = threading.Lock()


class LockedLater(Good):
    def act(self, view: Any) -> Any:
        self.lock = threading.Lock()
        return super().act(view)


class Fails(Good):
    def act(self, view: Any) -> Any:
        raise KeyError("seat")


class Large(policies.SaliencyPolicy):
    name = "map"

    def saliency_map(self, images: torch.Tensor) -> torch.Tensor:
        return images.float().mean(1)


class Maps(Good):
    def saliency_map(self, images: torch.Tensor) -> torch.Tensor:
        return images.float().mean(1)

    maps = saliency_map


class PaintsMaps(Good):
    def saliency_map(self, images: torch.Tensor) -> torch.Tensor:
        return images.zero_().float().mean(1)[:, ::16, ::16]

    maps = saliency_map


class Pessimist(Gains):
    def predicted_gain(self, view: Any) -> Any:
        return torch.zeros(len(view.revealed), 196)


BROKEN = {
    Nameless: "policy '': name is empty; expected the name that reports call it",
    Silent: "sees_full_image is 'no'; expected True if it looks at the whole picture",
    Actless: r"it has no method act\(view\)",
    FlatGrid: r"grid is 196; expected \(rows, cols\)",
    Odd: r"weights is 'mine.pt'; expected saccade_env.classifiers.Weights",
    InNumPy: r"returned numpy.int64 \[4\]; expected torch.int64 \[4\].*torch.as_tensor",
    RowCol: r"returned torch.int64 \[4, 2\]; expected .*geometry.row_col_to_index\(fixation, grid",
    Floats: r"returned torch.float32 \[4\]; expected torch.int64 \[4\], token indices.*argmax",
    Outside: r"chose \[.*2\d\d.*\]; expected token indices 0 to 195",
    Stops: r"it stops, so pass config=SaccadeConfig\(stop_action=True\): 196 is no token",
    Writes: r"act\(view\) changed view.revealed in place, .*; copy it",
    Paints: "changed the images; copy them",
    Stays: r"saccade 1 went to \[2, 2\], which is inhibited.*open_cells\(view\), or pass may_",
    Global: "a copy of it took another scanpath .*generator of its own with a seed",
    Seeded: "after a second reset it took another scanpath .*start random generators anew",
    Together: r"pictures \[3, 0\] of 4 as a batch took other scanpaths .*seed noise by the picture",
    Mean: r"pictures \[3, 0\] of 4 as a batch took other .*normalise over no batch",
    FirstRow: "each at its own saccade, it chose .*read view.saccades_done row by row",
    OfFour: r"act\(view\) on 2 episodes raised RuntimeError: The size of tensor a",
    Peeks: "saccade 0 depends on pixels that are hidden until then .*sees_full_image is False",
    PeeksLater: "saccade 1 depends on pixels that are hidden until then",
    Locked: "pickling it raised TypeError: cannot pickle '_thread.lock'.*other processes",
    LockedLater: "pickling it raised TypeError: cannot pickle '_thread.lock'",
    Fails: r"act\(view\) on 4 episodes raised KeyError: 'seat'",
    Large: "raised ValueError: policy 'map' has maps .*give the policy the classifier's grid",
    Maps: r"saliency_map\(images\) returned torch.float32 \[4, 224, 224\]; expected .*resize_map",
    PaintsMaps: r"saliency_map\(images\) changed the images; copy them",
    Pessimist: r"predicted_gain\(view\) returned torch.float32 \[4, 196\]; expected .*in nats",
}


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_what_to_mend_is_said(broken: Any) -> None:
    with pytest.raises(ContractError, match=BROKEN[broken]):
        check_policy(broken())


def test_grids_must_be_one() -> None:
    with pytest.raises(ContractError, match=r"grid is \(7, 7\); expected \(14, 14\), the classif"):
        check_policy(OtherGrid(), classifier=LinearClassifier())


def test_what_is_meant_may_be_said() -> None:
    check_policy(Stays(), may_return=True)
    check_policy(Peeks(), may_depend_on_hidden=True)
    check_policy(Stops(), config=SaccadeConfig(stop_action=True))

    class Blurred(Peeks):
        periphery = 14

    check_policy(Blurred())


def test_a_ready_stop_is_checked_too() -> None:
    rule = policies.StopWhenCertain(policies.create("centre"), 0.02, patience=2)
    check_policy(rule, config=SaccadeConfig(stop_action=True))
    assert isinstance(rule, core.Oracle)
