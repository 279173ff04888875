"""What environments and evaluations rely on in an image source: :func:`check_image_source`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, get_args

import torch
from torch import Tensor

from saccade_env import images
from saccade_env.images import BrokenImageError, ImageSource, LabelKind, Picture, Preprocess
from saccade_env.testing.contract import Contract, kind

_THREADS = 4


def check_image_source(
    source: ImageSource,
    limit: int = 6,
    broken: Collection[int] = (),
    *,
    in_threads: bool = True,
) -> None:
    """Let an image source pass that environments and evaluations can rely on.

    Args:
        source: Of one picture or more.
        limit: At least 2; so many pictures, spread evenly, are read. All are asked for their id.
        broken: Places of pictures that cannot be read, on purpose, to check that they say so.
        in_threads: Read from several threads at once; a source that cannot stand that is used with
            ``workers=0``.

    Raises:
        ContractError: It does not keep its contract; the message says what to mend.
    """
    contract = Contract(f"image source {getattr(source, 'name', type(source).__name__)!r}")
    with contract.doing("what it is made of", "see saccade_env.ImageSource"):
        images.create(source)
    _check_attributes(source, contract)
    _check_ids(source, contract)
    _check_ends(source, contract)
    for place in broken:
        _check_broken(source, place, contract)
    places = sorted({round(i * (len(source) - 1) / max(limit - 1, 1)) for i in range(limit)})
    found = {place: _read(source, place, contract) for place in places}
    read = {place: picture for place, picture in found.items() if picture is not None}
    contract.require(bool(read), f"none of the pictures {places} can be read")
    for place, picture in read.items():
        _check_picture(source, place, picture, contract)
    if in_threads:
        _check_threads(source, read, contract)
    _check_copy(source, read, contract)


def _check_attributes(source: Any, contract: Contract) -> None:
    contract.attribute(source, "name", str, "a short name for reports")
    contract.two_sides(source.image_size, "image_size", "(height, width) of every picture")
    known = get_args(LabelKind)
    told = f"labels is {source.labels!r}; expected one of {', '.join(known)}"
    contract.require(source.labels in known, told)
    _check_class_names(source, contract)
    contract.attribute(source, "description", Mapping, "a mapping of text to text, may be empty")
    wanted = "the Preprocess that brought pictures to size, or None"
    contract.attribute(source, "preprocess", (Preprocess, type(None)), wanted)
    with contract.doing("identity"):
        first, second = source.identity, source.identity
    right = isinstance(first, str) and len(first) == 64 and set(first) <= set("0123456789abcdef")
    told = f"identity is {first!r}; expected sha256 as 64 hex digits over ids, labels and contents"
    contract.require(right, f"{told}: hashlib.sha256(…).hexdigest()")
    told = f"identity was {first[:8]}…, then {second[:8]}…; the same data must have the same one"
    contract.require(first == second, told)


def _check_class_names(source: Any, contract: Contract) -> None:
    names = source.class_names
    told = f"class_names is {kind(names)}; expected a list of text"
    contract.require(isinstance(names, list), told)
    contract.require(all(isinstance(name, str) for name in names), told)
    there = {"none": not names, "own": bool(names), "imagenet": len(names) == 1000}
    wanted = {"none": "none", "own": "one for each label", "imagenet": "the 1000 of ImageNet-1k"}
    told = f"labels is {source.labels!r} with {len(names)} class_names; expected "
    contract.require(there[source.labels], told + wanted[source.labels])


def _check_ids(source: Any, contract: Contract) -> None:
    with contract.doing("len(source)"):
        count = len(source)
    contract.require(count >= 1, "it holds no picture; expected one or more")
    places: dict[str, int] = {}
    for place in range(count):
        with contract.doing(f"id({place})"):
            name = source.id(place)
        told = f"id({place}) is {name!r}; expected text that can be written as UTF-8, with '/'"
        right = isinstance(name, str) and bool(name) and "\\" not in name
        contract.require(right and _is_utf8(name), f"{told} between folders")
        told = f"pictures {places.get(name)} and {place} have one id, {name!r}; each needs its own"
        contract.require(name not in places, f"{told}, as records are kept by id")
        places[name] = place


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_ends(source: Any, contract: Contract) -> None:
    count = len(source)
    with contract.doing("id(-1)", "negative numbers count from the end"):
        told = f"id(-1) is {source.id(-1)!r}; expected that of the last, {source.id(count - 1)!r}"
        contract.require(source.id(-1) == source.id(count - 1), told)
    for place in (count, -count - 1):
        for call, read in (("source[{}]", source.__getitem__), ("source.id({})", source.id)):
            _check_no_such(read, place, call.format(place), contract)


def _check_no_such(read: Callable[[int], Any], place: int, call: str, contract: Contract) -> None:
    told = f"{call} {{}}; expected IndexError, as there is no such picture: lists do it themselves"
    try:
        found = read(place)
    except IndexError:
        return
    except Exception as error:
        contract.require(False, told.format(f"raised {type(error).__name__}: {error}"))
    else:
        contract.require(False, told.format(f"gave {kind(found)}"))


def _read(source: Any, place: int, contract: Contract) -> Picture | None:
    mend = "raise BrokenImageError where a file cannot be read, so that a run may skip and count it"
    with contract.doing(f"source[{place}]", mend):
        try:
            picture: Picture = source[place]
            return picture
        except BrokenImageError:
            return None


def _check_broken(source: Any, place: int, contract: Contract) -> None:
    wanted = "expected BrokenImageError, whose message holds its id"
    try:
        found = source[place]
    except BrokenImageError as error:
        told = f"source[{place}] raised BrokenImageError: {error}; expected its id"
        contract.require(source.id(place) in str(error), f"{told}, {source.id(place)!r}, in it")
    except Exception as error:
        told = f"source[{place}], which is broken, raised {type(error).__name__}: {error}"
        contract.require(False, f"{told}; {wanted}, so that a run may skip and count it")
    else:
        contract.require(False, f"source[{place}], which is broken, gave {kind(found)}; {wanted}")


def _check_picture(source: Any, place: int, picture: Any, contract: Contract) -> None:
    what = f"source[{place}]"
    told = f"{what} is {kind(picture)}; expected saccade_env.images.Picture(image, label, id)"
    contract.require(isinstance(picture, Picture), told)
    image, wanted = picture.image, [3, *source.image_size]
    right = isinstance(image, Tensor) and image.dtype == torch.uint8 and list(image.shape) == wanted
    told = f"{what}.image is {kind(image)}; expected torch.uint8 {wanted}: RGB, then height, width"
    contract.require(right, f"{told}; saccade_env.images.Preprocess brings a picture to size")
    told = f"{what}.id is {picture.id!r}, and id({place}) {source.id(place)!r}; expected the same"
    contract.require(picture.id == source.id(place), told)
    _check_label(source, what, picture.label, contract)
    _check_same(source[place], picture, f"{what} read a second time", contract)


def _check_label(source: Any, what: str, label: Any, contract: Contract) -> None:
    if label is None:
        return
    whole = isinstance(label, int) and not isinstance(label, bool)
    told = f"{what}.label is {label!r} ({type(label).__name__}); expected an int or None"
    contract.require(whole, f"{told}: an index into class_names")
    count = len(source.class_names)
    told = f"{what}.label is {label}, and there are {count} class_names; expected an index into "
    contract.require(0 <= label < count, f"{told}them, or None")


def _check_same(found: Picture, picture: Picture, what: str, contract: Contract) -> None:
    same = found[1:] == picture[1:] and torch.equal(found.image, picture.image)
    told = f"{what} is another picture than before; draw nothing at random while reading, and keep "
    contract.require(same, f"{told}no file open that readers share (or use it with workers=0)")


def _check_threads(source: Any, read: dict[int, Picture], contract: Contract) -> None:
    places = [*read] * _THREADS
    with (
        ThreadPoolExecutor(_THREADS) as pool,
        contract.doing(
            f"reading from {_THREADS} threads at once", "or pass in_threads=False and use workers=0"
        ),
    ):
        for place, found in zip(places, pool.map(source.__getitem__, places), strict=True):
            _check_same(
                found, read[place], f"source[{place}], read from several threads,", contract
            )


def _check_copy(source: Any, read: dict[int, Picture], contract: Contract) -> None:
    copy = contract.copied(source)
    place, picture = next(iter(read.items()))
    _check_same(copy[place], picture, f"source[{place}] of a pickled copy", contract)
    told = "a pickled copy has another identity; expected the same, as it is of the same data"
    contract.require(copy.identity == source.identity, told)
