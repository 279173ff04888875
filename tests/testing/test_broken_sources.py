"""Image sources and observers that each break one promise, and what their authors are told."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from saccade_env import images
from saccade_env.images import BrokenImageError, Picture
from saccade_env.observe.observers import Belief, Extra, Image, Observer, Periphery
from saccade_env.testing import ContractError, check_image_source, check_observer


class Good:
    """Five pictures of noise; the third can be broken."""

    name, image_size, labels, identity = "noise", (8, 12), "own", "0" * 64
    preprocess: Any = None
    description: Any = {}  # noqa: RUF012
    class_names: Any = ["dark", "bright"]  # noqa: RUF012

    def __len__(self) -> int:
        return 5

    def __getitem__(self, i: int) -> Any:
        place = range(5)[i]
        draw = torch.Generator().manual_seed(place)
        image = torch.randint(256, (3, 8, 12), generator=draw, dtype=torch.uint8)
        return self.made(image, place)

    def made(self, image: torch.Tensor, place: int) -> Any:
        return Picture(image, place % 2, self.id(place))

    def id(self, i: int) -> str:
        return f"noise/{range(5)[i]}.png"


def test_one_that_keeps_all_passes() -> None:
    check_image_source(Good())
    check_image_source(images.create("sample"))


class Unnamed(Good):
    class_names = ()


class Unlabelled(Good):
    labels = "none"


class Kinds(Good):
    labels = "words"


class Sized(Good):
    image_size: Any = 8


class Nobody(Good):
    identity = "noise"


class Changing(Good):
    @property
    def identity(self) -> Any:
        self.asked = getattr(self, "asked", 0) + 1
        return f"{self.asked:064x}"


class Empty(Good):
    def __len__(self) -> int:
        return 0


class Twins(Good):
    def id(self, i: int) -> str:
        return f"noise/{range(5)[i] // 2}.png"


class Windows(Good):
    def id(self, i: int) -> str:
        return f"noise\\{range(5)[i]}.png"


class FromZero(Good):
    def id(self, i: int) -> str:
        return f"noise/{range(-5, 5)[i + 5]}.png"


class Endless(Good):
    def __getitem__(self, i: int) -> Any:
        return super().__getitem__(i % 5)


class KeyErrors(Good):
    def id(self, i: int) -> str:
        return {place: f"{place % 5}" for place in range(-5, 5)}[i]


class Pairs(Good):
    def made(self, image: torch.Tensor, place: int) -> Any:
        return image, place


class Floats(Good):
    def made(self, image: torch.Tensor, place: int) -> Any:
        return super().made(image, place)._replace(image=image / 255)


class Last(Good):
    def made(self, image: torch.Tensor, place: int) -> Any:
        return super().made(image.permute(1, 2, 0), place)


class Words(Good):
    def made(self, image: torch.Tensor, place: int) -> Any:
        return super().made(image, place)._replace(label="dark")


class Third(Good):
    def made(self, image: torch.Tensor, place: int) -> Any:
        return super().made(image, place)._replace(label=2)


class Renames(Good):
    def made(self, image: torch.Tensor, place: int) -> Any:
        return super().made(image, place)._replace(id="x")


class Flips(Good):
    def made(self, image: torch.Tensor, place: int) -> Any:
        self.read = getattr(self, "read", 0) + 1
        return super().made(image + self.read, place)


class Closed(Good):
    def made(self, image: torch.Tensor, place: int) -> Any:
        raise OSError("truncated")


class Hopeless(Good):
    def made(self, image: torch.Tensor, place: int) -> Any:
        raise BrokenImageError(self.id(place))


class MainThread(Good):
    def made(self, image: torch.Tensor, place: int) -> Any:
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("another thread")
        return super().made(image, place)


class Locked(Good):
    def __init__(self) -> None:
        self.lock = threading.Lock()


BROKEN = {
    Unnamed: r"class_names is tuple \(\); expected a list of text",
    Unlabelled: "labels is 'none' with 2 class_names; expected none",
    Kinds: "labels is 'words'; expected one of imagenet, own, none",
    Sized: r"image_size is 8; expected \(height, width\)",
    Nobody: "identity is 'noise'; expected sha256 as 64 hex digits",
    Changing: "the same data must have the same one",
    Empty: "it holds no picture",
    Twins: "pictures 0 and 1 have one id, 'noise/0.png'; each needs its own",
    Windows: r"id\(0\) is 'noise\\\\0.png'; expected .*'/' between folders",
    FromZero: r"id\(-1\) is 'noise/-1.png'; expected that of the last, 'noise/4.png'",
    Endless: r"source\[5\] gave Picture .*; expected IndexError",
    KeyErrors: r"source.id\(5\) raised KeyError: 5; expected IndexError",
    Pairs: r"source\[0\] is tuple .*; expected saccade_env.images.Picture\(image, label, id\)",
    Floats: r"source\[0\].image is torch.float32 \[3, 8, 12\]; expected torch.uint8 \[3, 8, 12\]",
    Last: r"image is torch.uint8 \[8, 12, 3\]; expected torch.uint8 \[3, 8, 12\]: RGB, then",
    Words: r"source\[0\].label is 'dark' \(str\); expected an int or None",
    Third: r"source\[0\].label is 2, and there are 2 class_names",
    Renames: r"source\[0\].id is 'x', and id\(0\) 'noise/0.png'",
    Flips: r"source\[0\] read a second time is another picture",
    Closed: r"source\[0\] raised OSError: truncated; raise BrokenImageError where",
    Hopeless: r"none of the pictures \[0, 1, 2, 3, 4\] can be read",
    MainThread: "reading from 4 threads at once raised RuntimeError.*in_threads=False",
    Locked: "pickling it raised TypeError",
}


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_what_to_mend_is_said(broken: Any) -> None:
    with pytest.raises(ContractError, match=BROKEN[broken]):
        check_image_source(broken())


def test_what_lacks_something_is_told(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="TypeError: images must be .* got list, which lacks"):
        check_image_source([])  # type: ignore[arg-type]
    check_image_source(MainThread(), in_threads=False)


@pytest.mark.parametrize(
    ("raised", "message"),
    [
        (BrokenImageError("no picture"), "BrokenImageError: no picture; expected its id, 'noise/2"),
        (
            ValueError("bad"),
            r"source\[2\], which is broken, raised ValueError: bad; expected",
        ),
        (None, r"source\[2\], which is broken, gave Picture.*; expected BrokenImageError"),
        (BrokenImageError("noise/2.png: cut"), ""),
    ],
)
def test_broken_pictures_must_say_so(raised: Any, message: str) -> None:
    class Breaks(Good):
        def made(self, image: torch.Tensor, place: int) -> Any:
            if place == 2 and raised:
                raise raised
            return super().made(image, place)

    if not message:
        return check_image_source(Breaks(), broken=[2])
    with pytest.raises(ContractError, match=message):
        check_image_source(Breaks(), broken=[2])


class Typed(Belief):
    def now(self, view: Any, fixed: Any) -> Any:
        return super().now(view, fixed).astype(float)


class Wanting(Belief):
    needs = ("periphery",)


class Shared(Belief):
    """Hands out one array again and again."""

    def __call__(self, observation: Any, now: Any) -> Any:
        self.array = getattr(self, "array", now)
        if self.array.shape != now.shape:
            return {**observation, self.name: now}
        np.copyto(self.array, now)
        return {**observation, self.name: self.array}


class Overwrites(Belief):
    def __call__(self, observation: Any, now: Any) -> Any:
        observation[self.name] = now.copy()
        return observation


class Normalised(Belief):
    def now(self, view: Any, fixed: Any) -> Any:
        found = super().now(view, fixed)
        return found - found.min(0)


class Remembers(Periphery):
    """Keeps the pictures in itself instead of in what it fixes."""

    def fixed(self, images: Any) -> Any:
        self.kept = super().fixed(images)
        return torch.zeros(len(images))

    def now(self, view: Any, fixed: Any) -> Any:
        return self.kept.numpy()[-len(fixed) :].repeat(len(fixed) // len(self.kept) or 1, 0)


class Single(Belief):
    def now(self, view: Any, fixed: Any) -> Any:
        return super().now(view, fixed)[0]


class Spaceless(Extra):
    def space(self, single: Any) -> Any:
        return (7,)


OBSERVERS: list[tuple[Any, str]] = [
    (3, "it is no Observer; derive it from"),
    (Typed(5), r"belief numpy.float64 \[7\] from .*; expected what space\(single\) promises"),
    (Wanting(5), r"needs is \('periphery',\); expected a tuple of names among \['fixation', "),
    (Shared(5), r"an observation of an earlier step changed later; .*now.copy\(\)"),
    (Overwrites(5), r"changed the observation it was given; return another: \{\*\*observation"),
    (Normalised(5), "row . shows something else alone than in its batch"),
    (Remembers(4), "after a row was replaced.*keep nothing but in fixed"),
    (Single(5), r"now\(view, fixed\) returned numpy.float32 \[7\]; expected .* of 4 rows"),
    (Spaceless(), r"space\(single\) returned tuple \(int 7\); expected a space of Gymnasium"),
    (Periphery(4), "after 0 saccades it shows something of pixels that are hidden"),
]


@pytest.mark.parametrize(("broken", "message"), OBSERVERS, ids=lambda it: type(it).__name__)
def test_what_to_mend_in_an_observer_is_said(broken: Any, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        check_observer(broken, may_depend_on_hidden=isinstance(broken, Remembers))


def test_observers_that_keep_all_pass() -> None:
    assert isinstance(Image((14, 14), 16), Observer)
    check_observer(Periphery(4), may_depend_on_hidden=True)
