"""Maps on disk of the policies themselves: told apart, shared by processes, never others."""

from __future__ import annotations

import json
import pickle
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest import mock

import pandas as pd
import pytest
import torch
from torch import Tensor

from saccade_env import evaluation, policies
from saccade_env.card import describe_policy
from saccade_env.classifiers.base import Weights
from saccade_env.classifiers.vit.dino import DinoNetwork, build_backbone
from saccade_env.config import SaccadeConfig
from saccade_env.policies.attention import AttentionPolicy
from saccade_env.policies.gbvs import GBVSPolicy, gbvs
from saccade_env.policies.map_cache import MapCache, description_of
from saccade_env.policies.unisal import UNISAL, UnisalPolicy

pytestmark = pytest.mark.usefixtures("map_folder")
SHA = "ab" * 32


def pictures(count: int, size: tuple[int, int] = (56, 56)) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, *size), dtype=torch.uint8, generator=generator)


def file_of(policy: Any) -> Path:
    description = description_of(policy)
    assert description is not None
    return MapCache(description).path


def test_every_parameter_of_gbvs_tells_its_files_apart() -> None:
    changes: list[dict[str, Any]] = [
        {"pyramid_levels": (2, 3)}, {"map_size": (14, 16)}, {"sigma_activation": 0.2},
        {"sigma_normalisation": 0.1}, {"channels": "I"}, {"gabor_orientations": (0.0,)},
        {"textbook_gabors": True},
    ]  # fmt: skip
    files = [file_of(GBVSPolicy(**change)) for change in [{}, *changes]]
    assert len(set(files)) == len(files)
    described = describe_policy(GBVSPolicy(channels="IO"))
    assert described["parameters"]["channels"] == "IO"
    assert described["parameters"]["map_size"] == [28, 32]
    assert described == json.loads(json.dumps(described))


def test_given_networks_are_not_kept(map_folder: Path) -> None:
    from timm.models.vision_transformer import VisionTransformer

    shape = {"img_size": 64, "patch_size": 16, "embed_dim": 64, "depth": 2, "num_heads": 1}
    tensors = VisionTransformer(**shape, num_classes=0).state_dict()
    given = DinoNetwork(build_backbone(tensors))
    images = pictures(1, size=(64, 64))
    assert AttentionPolicy(given, grid=(4, 4)).maps(images).shape == (1, 4, 4)
    assert UnisalPolicy(network=UNISAL(), input_size=(32, 32)).maps(images).shape == (1, 14, 14)
    assert not map_folder.exists()
    named = DinoNetwork(build_backbone(tensors), origin=Weights("published", SHA))
    first, second = (AttentionPolicy(named, x, grid=(4, 4)) for x in (0, 1))
    assert not torch.equal(first.maps(images), second.maps(images))
    assert torch.equal(first.maps(images), first.saliency_map(images))
    assert len(list(map_folder.iterdir())) == 2


def test_policies_pickle_without_their_file() -> None:
    policy = GBVSPolicy()
    maps = policy.maps(pictures(1))
    copy = pickle.loads(pickle.dumps(policy))
    assert torch.equal(copy.maps(pictures(1)), maps)


WRITER = """
import sys, torch
from saccade_env import policies
torch.set_num_threads(1)
policy = policies.create("gbvs", map_size=(4, 4), channels="I", grid=(4, 4))
generator = torch.Generator().manual_seed(0)
images = torch.randint(0, 256, (120, 3, 32, 32), dtype=torch.uint8, generator=generator)
print("ready", flush=True)
sys.stdin.readline()
for start in range(0, 120, 4):
    policy.maps(images[start : start + 4])
"""


@pytest.mark.slow
def test_several_processes_write_the_same_file(map_folder: Path) -> None:
    script = map_folder.parent.parent / "writer.py"
    script.write_text(WRITER)
    pipe = subprocess.PIPE
    call = [sys.executable, "-W", "error", str(script)]
    writers: list[Any] = [
        subprocess.Popen(call, stdin=pipe, stdout=pipe, stderr=pipe, text=True) for _ in range(3)
    ]
    assert [writer.stdout.readline() for writer in writers] == ["ready\n"] * 3
    for writer in writers:  # all at once
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        _, errors = writer.communicate(timeout=120)
        assert (writer.returncode, errors) == (0, ""), errors
    [path] = map_folder.iterdir()
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT count(*) FROM maps").fetchone() == (120,)
        assert database.execute("SELECT count(*) FROM meta").fetchone() == (1,)
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_scanpaths_are_the_same_with_and_without(
    sample: Any, linear: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(cache: bool) -> pd.DataFrame:
        policy = policies.create("gbvs", cache=cache)
        return evaluation.evaluate(
            [policy], sample, linear, SaccadeConfig(max_saccades=3), progress=False
        ).records

    without, cold = run(False), run(True)
    # One picture's is computed all the same: what it costs is measured.
    monkeypatch.setattr("saccade_env.policies.gbvs.gbvs", once := mock.Mock(wraps=gbvs))
    pd.testing.assert_frame_equal(cold, without)
    pd.testing.assert_frame_equal(run(True), without)
    assert [len(call.args[0]) for call in once.call_args_list] == [1]
