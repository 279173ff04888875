"""The weights store: its table, hashes, files brought by hand, and what it refuses to load."""

from __future__ import annotations

import hashlib
import io
import re
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from saccade_env.classifiers import weights
from saccade_env.classifiers.base import Weights
from saccade_env.classifiers.weights import WeightsError

WHOLE = {"thing.pth", "thing.pth.sha256"}


def test_fetched_once_recorded_and_loaded(thing: Any, folder: Path, fetch: Any, left: Any) -> None:
    assert not weights.is_cached("thing")
    assert fetch() == [weights.TABLE["thing"].place] == [folder / "thing.pth"]
    assert (folder / "thing.pth").read_bytes() == thing.content
    digest = hashlib.sha256(thing.content).hexdigest()
    assert (folder / "thing.pth.sha256").read_text() == f"{digest}  thing.pth\n"
    assert left() == WHOLE
    assert weights.is_cached("thing")
    assert weights.fetch("thing") == [folder / "thing.pth"]
    expected = torch.load(io.BytesIO(thing.content), weights_only=True)["weight"]
    network = weights.load("thing")
    assert torch.equal(network.weight, expected)
    assert not network.training
    assert not network.weight.requires_grad
    assert weights.record("thing") == Weights(thing.url, digest)
    assert len(thing.asked) == 1
    assert "Range" not in thing.asked[0]


def test_hashed_once_per_process(thing: Any, monkeypatch: pytest.MonkeyPatch, fetch: Any) -> None:
    hashed: list[Path] = []

    def count(path: Path) -> str:
        hashed.append(path)
        return hashlib.sha256(path.read_bytes()).hexdigest()

    monkeypatch.setattr("saccade_env.classifiers.weights.sha256", count)
    fetch()
    hashed.clear()
    for _ in range(3):
        weights.fetch("thing")
        weights.record("thing")
    assert weights.is_cached("thing")
    assert len(hashed) == 1


def test_published_hash(host: Any, publish: Any, folder: Path, fetch: Any, left: Any) -> None:
    digest = hashlib.sha256(host.content).hexdigest()
    publish(host.url, sha256=digest)
    fetch()
    assert left() == {"thing.pth"}  # needs no record
    (folder / "thing.pth").write_bytes(b"something else")
    with pytest.raises(WeightsError, match=f"damaged or replaced: .*{digest} is published. Delete"):
        weights.load("thing")


@pytest.mark.parametrize("digits", [8, 64])
def test_wrong_hash_is_not_kept(
    host: Any, publish: Any, digits: int, fetch: Any, left: Any
) -> None:
    digest = hashlib.sha256(host.content).hexdigest()
    wrong = ("0" if digest[0] == "f" else "f") + digest[1:]
    publish(host.url, sha256=wrong[:digits])
    with pytest.raises(WeightsError, match=f"is {digest}, but {wrong[:8]}.* not kept; try again"):
        fetch()
    assert left() == set()


def test_published_beginning_of_a_hash(host: Any, publish: Any, fetch: Any, left: Any) -> None:
    publish(host.url, sha256=hashlib.sha256(host.content).hexdigest()[:8])
    fetch()
    assert left() == WHOLE  # the rest of the hash is recorded


def test_another_file_than_the_recorded_is_refused(
    thing: Any, folder: Path, fetch: Any, left: Any
) -> None:
    fetch()
    record = folder / "thing.pth.sha256"
    (folder / "thing.pth").write_bytes(thing.network(1))
    for use in (weights.load, weights.fetch):
        with pytest.raises(WeightsError, match="damaged or replaced") as caught:
            use("thing")
        for hint in ("Delete it and run `saccade-env download thing`", f"delete {record} too"):
            assert hint in str(caught.value)
    (folder / "thing.pth").unlink()
    thing.content = thing.network(2)
    with pytest.raises(WeightsError, match=f"recorded in {record}. It was not kept"):
        fetch()
    assert left() == {record.name}
    record.unlink()
    fetch(retry=True)
    assert (folder / "thing.pth").read_bytes() == thing.network(2)


@pytest.mark.parametrize("text", ["", "a", "abcd  thing.pth\n"])
def test_damaged_record_matches_nothing(thing: Any, folder: Path, text: str, fetch: Any) -> None:
    fetch()
    (folder / "thing.pth.sha256").write_text(text)
    with pytest.raises(WeightsError, match="recorded in"):
        weights.fetch("thing")


def test_file_put_there_by_hand_is_used(thing: Any, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "thing.pth").write_bytes(thing.network(3))
    assert weights.load("thing").weight.shape == (250, 300)
    assert weights.record("thing").sha256 == hashlib.sha256(thing.network(3)).hexdigest()
    assert thing.asked == []


def test_failure_is_remembered(thing: Any, fetch: Any) -> None:
    thing.statuses = [404, 404]
    messages = set()
    for _ in range(3):
        with pytest.raises(WeightsError) as caught:
            fetch()
        messages.add(str(caught.value))
    with pytest.raises(WeightsError):
        weights.fetch("thing", progress=False)
    assert len(messages) == len(thing.asked) == 1
    with pytest.raises(WeightsError):
        fetch(retry=True)
    assert fetch(retry=True)
    assert len(thing.asked) == 3


def test_offline_by_wish(thing: Any, monkeypatch: pytest.MonkeyPatch, fetch: Any) -> None:
    monkeypatch.setenv("SACCADE_OFFLINE", "1")
    with pytest.raises(WeightsError, match=r"SACCADE_OFFLINE forbids .*unset that, or on another"):
        weights.load("thing")
    assert thing.asked == []
    monkeypatch.setenv("SACCADE_OFFLINE", "0")
    assert fetch()
    monkeypatch.setenv("SACCADE_OFFLINE", "1")
    assert weights.fetch("thing")


def test_installed_from_a_folder(
    thing: Any, folder: Path, tmp_path: Path, fetch: Any, left: Any
) -> None:
    thing.cuts = [100_000]
    with pytest.raises(WeightsError):
        fetch(tries=1)
    (tmp_path / "thing-v1.pth").write_bytes(thing.content)  # its name where it is published
    assert weights.install("thing", str(tmp_path)) == [folder / "thing.pth"]
    assert left() == WHOLE
    assert weights.load("thing")
    assert (tmp_path / "thing-v1.pth").exists()
    (tmp_path / "thing-v1.pth").write_bytes(thing.network(1))
    with pytest.raises(WeightsError, match=r"thing-v1.pth gave something else .*It was not kept"):
        weights.install("thing", tmp_path)
    assert (folder / "thing.pth").read_bytes() == thing.content


def test_installed_from_another_cache(
    thing: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fetch: Any
) -> None:
    fetch()
    monkeypatch.setenv("SACCADE_CACHE", str(tmp_path / "other"))
    assert weights.install("thing", folder) == [tmp_path / "other" / "weights" / "thing.pth"]


def test_install_lists_what_is_missing(thing: Any, tmp_path: Path) -> None:
    pretrained = tmp_path / "dino_deitsmall16_pretrain.pth"
    pretrained.write_bytes(thing.network(0))
    for _ in range(2):  # the second time the other file is still missing
        with pytest.raises(WeightsError) as caught:
            weights.install("dino_vits16", tmp_path)
        assert re.fullmatch(
            rf"installed {pretrained.name}; not in {tmp_path}: dino_deitsmall16_linearweights.pth "
            r"\(http://127.*/dino_deitsmall16_linearweights.pth\)",
            str(caught.value),
        )
    (tmp_path / "dino_deitsmall16_linearweights.pth").write_bytes(thing.network(1))
    assert len(weights.install("dino_vits16", tmp_path)) == 2
    assert weights.is_cached("dino_vits16")
    assert not weights.is_cached("all")
    with pytest.raises(WeightsError, match=r"installed dino.*, dino.*; not in .*weights_best.pth"):
        weights.install("all", tmp_path)
    with pytest.raises(WeightsError, match="typo is no folder"):
        weights.install("dino_vits16", tmp_path / "typo")


def test_nothing_is_executed(
    thing: Any, folder: Path, tmp_path: Path, fetch: Any, left: Any
) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "executed",))

    thing.content = thing.saved({"weight": Trap()})
    with pytest.raises(WeightsError, match="gave no such weights") as caught:
        fetch()
    assert "\n" not in str(caught.value)
    assert "weights_only" not in str(caught.value)  # PyTorch's advice to execute it after all
    assert left() == set()
    (folder / "thing.pth").write_bytes(thing.content)
    with pytest.raises(WeightsError, match="cannot be read as weights"):
        weights.load("thing")
    assert not (tmp_path / "executed").exists()


def test_state_dict_is_taken_out_of_a_checkpoint(thing: Any) -> None:
    nested = {f"module.linear.{key}": tensor for key, tensor in tensors().items()}
    thing.content = thing.saved({"epoch": 3, "state_dict": nested})
    assert torch.equal(weights.load("thing").weight, tensors()["weight"])


def tensors(**changed: torch.Tensor | None) -> dict[str, torch.Tensor]:
    """Of the file called thing, some changed and some left out."""
    found: dict[str, Any] = {"weight": torch.ones(250, 300), "bias": torch.zeros(250), **changed}
    return {key: tensor for key, tensor in found.items() if tensor is not None}


OTHERS = {
    "no tensors": {"epoch": 3},
    "a tensor": torch.ones(3),
    "a tensor for a dictionary": {"state_dict": torch.ones(2)},
    "ten classes": tensors(weight=torch.ones(10, 300), bias=torch.zeros(10)),
    "another shape": tensors(bias=torch.zeros(250, 1)),
    "int8": tensors(weight=torch.ones(250, 300, dtype=torch.int8)),
    "complex": tensors(weight=torch.ones(250, 300, dtype=torch.complex64)),
    "sparse": tensors(weight=torch.ones(250, 300).to_sparse()),
    "without values": tensors(bias=torch.zeros(250, device="meta")),
    "NaN": tensors(bias=torch.full((250,), torch.nan)),
    "infinity": tensors(bias=torch.full((250,), torch.inf)),
    "too large for float32": tensors(bias=torch.full((250,), 1e300, dtype=torch.float64)),
    "a key less": tensors(bias=None),
    "a key more": tensors(scale=torch.ones(250)),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_tensors_never_get_into_the_cache(
    thing: Any, kind: str, folder: Path, tmp_path: Path, fetch: Any, left: Any
) -> None:
    thing.content = thing.saved(OTHERS[kind])
    carried = tmp_path / "thing-v1.pth"
    carried.write_bytes(thing.content)
    named = r"(tensor '(weight|bias)'|keys (scale|bias|none)|holds (no|more than)|cannot be read)"
    with pytest.raises(WeightsError, match=f"{carried} gave no such weights; .* {named}"):
        weights.install("thing", tmp_path)
    with pytest.raises(WeightsError, match=f"{thing.url} gave no such weights; .* {named}"):
        fetch()
    assert left() == set()
    (folder / "thing.pth").write_bytes(thing.content)  # put there by hand
    with pytest.raises(WeightsError, match=f"{folder}/thing.pth: .*{named}.*Delete it and"):
        weights.load("thing")


def test_a_file_that_would_fill_the_memory_is_not_read(thing: Any, tmp_path: Path) -> None:
    with (
        zipfile.ZipFile(io.BytesIO(thing.content)) as whole,
        zipfile.ZipFile(tmp_path / "thing-v1.pth", "w", zipfile.ZIP_DEFLATED) as small,
    ):
        for part in whole.infolist():
            grown = bytes(10**7) if part.filename.endswith("data/0") else b""
            small.writestr(part.filename, whole.read(part) + grown)
    with pytest.raises(WeightsError, match="cannot be read as weights"):
        weights.install("thing", tmp_path)


def test_a_file_that_is_too_long_is_not_copied(thing: Any, tmp_path: Path, left: Any) -> None:
    with open(tmp_path / "thing-v1.pth", "wb") as file:
        file.truncate(10**12)  # of no bytes on disk
    with pytest.raises(WeightsError, match="1000000000000 bytes: more than thing can have"):
        weights.install("thing", tmp_path)
    assert left() == set()


@pytest.mark.slow
def test_two_processes(thing: Any, folder: Path, tmp_path: Path, left: Any) -> None:
    """One downloads; the other says that it waits, and then uses what the first has fetched."""
    code = f"""
from saccade_env.classifiers import weights
from saccade_env.classifiers.base import Weights
weights.TABLE["thing"] = weights.WeightsFile(
    "thing", {thing.url!r}, "thing.pth", "MIT", 1, "torch.nn:Linear", (300, 250)
)
weights.load("thing")
"""
    go = threading.Event()
    thing.before_body = lambda: go.wait(20)
    with open(tmp_path / "log", "w") as log:
        both = [subprocess.Popen([sys.executable, "-c", code], stderr=log) for _ in range(2)]
    deadline = time.monotonic() + 20
    while "waiting for another" not in (tmp_path / "log").read_text():
        assert time.monotonic() < deadline, (tmp_path / "log").read_text()
        time.sleep(0.05)
    go.set()
    assert [process.wait(20) for process in both] == [0, 0], (tmp_path / "log").read_text()
    assert len(thing.asked) == 1
    assert (folder / "thing.pth").read_bytes() == thing.content
    assert left() == WHOLE


def test_names(folder: Path) -> None:
    assert weights.names()[0] == "dino_vits16"
    assert set(weights.names()) == set(weights.GROUPS)
    assert weights.TABLE["unisal"].place == folder / "unisal_weights_best.pth"
    with pytest.raises(ValueError, match="unknown weights 'unisall'. Did you mean 'unisal'"):
        weights.fetch("unisall")
    with pytest.raises(WeightsError, match="not in the cache: run `saccade-env download dino_vits"):
        weights.record("dino_deitsmall8-linear")


def test_table() -> None:
    files = weights.TABLE.values()
    assert all(name == file.name for name, file in weights.TABLE.items())
    assert len({file.file for file in files}) == len({file.url for file in files}) == 28
    assert all(file.url.startswith("https://") and file.url.endswith(".pth") for file in files)
    assert all(file.licence and file.what and file.size_mb for file in files)
    hashes = {file.sha256 for file in files if file.sha256 in file.published_file}
    assert hashes == {"", "11ad3fa6"}  # no whole one is published, and none is invented
    single = {name for name in weights.TABLE if name.endswith("-linear1")}  # asked for by itself
    assert sorted(sum(weights.GROUPS.values(), ())) == sorted({*weights.TABLE} - single)
    assert len(single) == 6
    base = "https://dl.fbaipublicfiles.com/dino/dino_vitbase8_pretrain/dino_vitbase8"
    urls = [weights.TABLE[name].url for name in weights.GROUPS["dino_vitb8"]]
    assert urls == [f"{base}_pretrain.pth", f"{base}_linearweights.pth"]


def test_keys_of_another_network() -> None:
    one = torch.zeros(1)
    weights.check_tensors({"a": one, "b": one}, {"b": one, "a": one}, "it")
    with pytest.raises(WeightsError) as caught:
        weights.check_tensors(dict.fromkeys("abcde", one), {"x": one}, "ResNet-50")
    assert str(caught.value) == (
        "these are not the weights of ResNet-50: missing keys x; unexpected keys a, b, c and 2 more"
    )
