"""Frames, text and files of real pictures; what is drawn is found again in the pixels."""

from __future__ import annotations

import errno
import gc
import json
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import gymnasium as gym
import imageio.v3 as iio
import numpy as np
import pytest
import torch
from PIL import Image

import saccade_env
from saccade_env import core, rendering
from saccade_env.config import ActionKind, SaccadeConfig
from saccade_env.drawing.scanpaths import check_scanpaths
from saccade_env.env import SaccadeEnv
from saccade_env.policies.simple import CentrePolicy, RandomPolicy

PICTURES = sorted(Path(saccade_env.__file__).parent.glob("images/sample/*/*.jpg"))[:7]
NAMES = ["tabby, tabby cat", "cup", "rocket at $5 or $6", "clock " * 20, "a\nb", "camera", "x"]
CONFIG = SaccadeConfig(max_saccades=4)
CORNERS = [0, 13, 195, 182]
YELLOW = np.array([0xF5, 0xA6, 0x23])


def episode(
    make_linear: Any,
    path: Path = PICTURES[0],
    config: SaccadeConfig = CONFIG,
    label: int = 1,
    fixations: list[int] = CORNERS,
) -> list[core.State]:
    height, width = 16 * config.grid[0], 16 * config.grid[1]
    image = np.array(Image.open(path).convert("RGB").resize((width, height)))
    images = torch.from_numpy(image).permute(2, 0, 1)[None]
    classifier = make_linear((height, width))
    states = [core.begin(images, torch.tensor([label]), torch.tensor([0]), config, classifier)]
    for fixation in fixations:
        target = torch.tensor([fixation])
        states.append(core.saccade(states[-1], target, config, classifier)[0])
    return states


def draw(states: list[core.State], config: SaccadeConfig = CONFIG, **keywords: Any) -> Any:
    histories = [[float(s.certainty[0]) for s in states[: k + 1]] for k in range(len(states))]
    pairs = zip(states, histories, strict=True)
    return [rendering.frame(state, config, 16, history, **keywords) for state, history in pairs]


def read(path: Path) -> tuple[np.ndarray, dict[str, Any]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # imageio leaves pipes to the collector
        meta = iio.immeta(path)
        pixels = np.stack(list(iio.imiter(path)))[..., :3]
        gc.collect()
    return pixels, meta


@pytest.fixture(scope="module")
def frames(make_linear: Any) -> list[np.ndarray]:
    return draw(episode(make_linear), class_names=NAMES)


@pytest.mark.parametrize("label", [3, core.UNLABELLED])
@pytest.mark.parametrize("names", [NAMES, None])
def test_frames_of_an_episode_have_one_size(make_linear: Any, label: int, names: Any) -> None:
    drawn = draw(episode(make_linear, label=label), class_names=names, title="A title " * 9)
    assert {(f.shape, f.dtype.name) for f in drawn} == {((480, 832, 3), "uint8")}
    assert all((a != b).any() for a, b in pairwise(drawn))


@pytest.mark.parametrize("grid", [(14, 24), (24, 14), (1, 40), (3, 3)])
def test_other_grids_fit_video_codecs(make_linear: Any, grid: tuple[int, int]) -> None:
    config = SaccadeConfig(grid=grid, fovea=1, max_saccades=1)
    last = config.num_tokens - 1
    first, second = draw(episode(make_linear, config=config, fixations=[last]), config)
    assert first.shape == second.shape
    assert first.shape[0] % 16 == first.shape[1] % 16 == 0


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_revealing_brightens_the_fovea_and_nothing_else(make_linear: Any, path: Path) -> None:
    before, after = draw(episode(make_linear, path, fixations=[105]))  # token (7, 7)
    inside = np.s_[16 + 6 * 32 : 16 + 9 * 32, 16 + 6 * 32 : 16 + 9 * 32]
    assert after[inside].mean() > before[inside].mean() + 5
    away = np.s_[16 : 16 + 5 * 32, 16:464]
    np.testing.assert_array_equal(before[away], after[away])
    assert 1 < before[away].mean() < 96


def test_revealed_pixels_keep_their_colour(make_linear: Any) -> None:
    states = episode(make_linear, fixations=[105])
    token = states[0].images[0, :, 6 * 16 : 7 * 16, 6 * 16 : 7 * 16].float().mean((1, 2))
    patch = draw(states)[1][16 + 6 * 32 : 16 + 7 * 32, 16 + 6 * 32 : 16 + 7 * 32]
    np.testing.assert_allclose(patch.mean((0, 1)), token, atol=25)  # outline and disc lie on it


def test_fovea_outline_is_clipped_at_the_border(frames: list[np.ndarray]) -> None:
    corner = frames[1]
    for place in [(48, 16), (48, 80), (16, 60), (80, 48)]:
        near = corner[place[0] - 1 : place[0] + 2, place[1] - 1 : place[1] + 2].astype(int)
        assert np.abs(near - YELLOW).max(-1).min() < 40, place
    assert (corner[:12] == 255).all(-1)[:, :464].all()  # nothing is drawn outside the picture


def test_row_chooses_the_episode(make_linear: Any) -> None:
    one, two = (episode(make_linear, path)[-1] for path in PICTURES[:2])
    batch = core.State(*(torch.cat(pair) for pair in zip(one, two, strict=True)))
    for row, alone in enumerate((one, two)):
        drawn = rendering.frame(batch, CONFIG, 16, [0.0], row=row)
        np.testing.assert_array_equal(drawn, rendering.frame(alone, CONFIG, 16, [0.0]))
        assert rendering.text(batch, CONFIG, row=row) == rendering.text(alone, CONFIG)


def test_threads_do_not_disturb_each_other(make_linear: Any) -> None:
    states = episode(make_linear)
    with ThreadPoolExecutor(4) as pool:
        drawn = list(pool.map(lambda s: rendering.frame(s, CONFIG, 16, [0.0, 1.0]), states * 2))
    for number, state in enumerate(states * 2):
        np.testing.assert_array_equal(drawn[number], rendering.frame(state, CONFIG, 16, [0.0, 1.0]))


def test_wrong_patch_size_is_refused(make_linear: Any) -> None:
    with pytest.raises(ValueError, match=r"grid \(14, 14\).*got \(28, 28\)"):
        rendering.frame(episode(make_linear)[0], CONFIG, 8, [0.0])


@pytest.mark.slow
def test_drawing_leaves_pyplot_alone() -> None:
    code = (
        "import sys, numpy; from saccade_env import rendering; "
        "from saccade_env.drawing import canvas; assert not "
        "{'matplotlib', 'imageio'} & set(sys.modules); canvas.Canvas(8, 8).pixels(); "
        "print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_text_shows_grid_and_verdict(make_linear: Any) -> None:
    states = episode(make_linear, fixations=[0, 105])
    blank, last = (rendering.text(s, CONFIG, NAMES).splitlines() for s in (states[0], states[-1]))
    assert blank[:14] == [" ".join("·" * 14)] * 14
    assert last[0] == "1 ░ " + " ".join("·" * 12)
    assert last[7] == "· · · · · · ░ 2 ░ · · · · ·"
    share, best = states[-1].logits[0].softmax(-1).max(-1)
    assert last[14:] == [
        "saccade     2 of 4",
        f"visible     {13 / 196:.1%}",
        f"prediction  {NAMES[int(best)].split(',')[0].strip()} ({float(share):.1%})",
        f"certainty   {float(states[-1].certainty[0]):.3f}",
        "label       cup",
    ]


def test_text_without_label_and_names_and_with_many_saccades(make_linear: Any) -> None:
    config = replace(CONFIG, max_saccades=40)
    walk = [*range(0, 80, 2)]
    state = episode(make_linear, config=config, label=core.UNLABELLED, fixations=walk)[-1]
    written = rendering.text(state, config)
    assert "prediction  class " in written
    assert "label" not in written
    marks = [
        cell for line in written.splitlines()[:14] for cell in line.split() if cell not in "·░"
    ]
    assert "".join(marks) == "123456789abcdefghijklmnopqrstuvwxyz+++++"


def test_gif_is_small_and_holds_the_last_frame(frames: list[np.ndarray], tmp_path: Path) -> None:
    path = tmp_path / "missing" / "folder" / "episode.gif"
    rendering.save(frames, path, 0.5)
    assert [p.name for p in path.parent.iterdir()] == ["episode.gif"]
    assert path.stat().st_size < 300_000
    metas = [iio.immeta(path, index=number) for number in range(5)]
    assert metas[0]["loop"] == 0
    times = [meta["duration"] for meta in metas]
    assert times == [500] * 4 + [2000]
    pixels, _ = read(path)
    assert pixels.shape == (5, 480, 832, 3)
    assert np.abs(pixels.astype(int) - np.stack(frames)).mean() < 3
    assert (pixels[:, 5, 5] == 255).all()  # paper stays white


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("suffix", ["gif", "mp4"])
def test_equal_frames_are_no_obstacle(
    frames: list[np.ndarray], tmp_path: Path, count: int, suffix: str
) -> None:
    path = tmp_path / f"a.{suffix}"
    rendering.save(frames[:1] * count, path)
    assert np.abs(read(path)[0][-1].astype(int) - frames[0]).mean() < 3


@pytest.mark.parametrize("seconds", [0.7, 0.04])
@pytest.mark.slow
def test_mp4_can_be_read_back(frames: list[np.ndarray], tmp_path: Path, seconds: float) -> None:
    path = tmp_path / "episode.MP4"
    path.write_bytes(b"an older file")
    rendering.save(frames, str(path), seconds)
    pixels, meta = read(path)
    assert (meta["size"], meta["codec"]) == ((832, 480), "h264")
    assert meta["pix_fmt"].startswith("yuv420p")
    assert meta["duration"] == pytest.approx(seconds * (5 + 3), rel=0.02)
    assert len(pixels) == pytest.approx(meta["duration"] * meta["fps"])
    assert np.abs(pixels[0].astype(int) - frames[0]).mean() < 3
    assert np.abs(pixels[-1].astype(int) - frames[-1]).mean() < 3


@pytest.mark.parametrize("name", ["a.png", "a", "a.gif.webm"])
def test_other_suffixes_are_refused(frames: list[np.ndarray], tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"must end in \.gif or \.mp4; got"):
        rendering.save(frames, tmp_path / name)


def test_unusable_frames_are_refused(frames: list[np.ndarray], tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    for bad in ([], [frames[0], frames[1][:-2]]):
        with pytest.raises(ValueError, match="all of one size"):
            rendering.save(bad, path)
    with pytest.raises(ValueError, match="even height and width; got 480 × 831"):
        rendering.save([frames[0][:, :-1]], path)
    with pytest.raises(ValueError, match="seconds_per_frame must be finite and > 0; got 0"):
        rendering.save(frames, path, 0.0)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a.gif", "a.mp4"])
def test_full_disk_leaves_the_old_file(
    frames: list[np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def write_half(path: Path, data: bytes) -> int:
        with path.open("wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    rendering.save(frames[:1], tmp_path / name)
    old = (tmp_path / name).read_bytes()
    monkeypatch.setattr(Path, "write_bytes", write_half)
    with pytest.raises(OSError, match=rf"cannot write .*{name}: No space left on device"):
        rendering.save(frames, tmp_path / name)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [(name, old)]


def test_unwritable_places_say_so(frames: list[np.ndarray], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.gif").mkdir()
    for path in (tmp_path / "file" / "a.gif", tmp_path / "folder.gif"):
        with pytest.raises(OSError, match=f"cannot write {path}"):
            rendering.save(frames, path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder.gif"]


def test_unfinished_mp4_is_noticed(
    frames: list[np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(iio, "imwrite", lambda *_, **__: b"ftypfree")
    with pytest.raises(OSError, match="could not finish the MP4"):
        rendering.save(frames, tmp_path / "a.mp4")


@pytest.mark.parametrize("action", get_args(ActionKind))
def test_record_plays_the_policy(linear: Any, tmp_path: Path, action: ActionKind) -> None:
    env: Any = SaccadeEnv("sample", linear, max_saccades=3, action=action, render_mode="rgb_array")
    path = tmp_path / "episode.gif"
    result = rendering.record(env, CentrePolicy(), path, seed=1, index=2)
    assert len(read(path)[0]) == 4
    assert result.pop("path") == str(path)
    assert env.view.fixations[0].tolist()[0] == [6, 6]
    assert result == {
        "saccades": 3,
        "prediction": int(env.view.logits[0].argmax()),
        "certainty": float(env.view.certainty[0]),
        "correct": result["correct"],
    }


def test_record_of_a_wrapped_environment_ends_with_it(linear: Any, tmp_path: Path) -> None:
    env: Any = SaccadeEnv("sample", linear, render_mode="rgb_array")
    limited = gym.wrappers.TimeLimit(env, 2)
    assert rendering.record(limited, CentrePolicy(), tmp_path / "a.mp4")["saccades"] == 2


def test_record_refuses_before_it_plays(linear: Any, tmp_path: Path) -> None:
    env = SaccadeEnv("sample", linear, render_mode="ansi")
    with pytest.raises(ValueError, match="render_mode='rgb_array'; got 'ansi'"):
        rendering.record(env, CentrePolicy(), tmp_path / "a.gif")
    with pytest.raises(ValueError, match="must end in"):
        rendering.record(env, CentrePolicy(), tmp_path / "a.avi")
    with pytest.raises(ValueError, match=r"shows one policy.*side by side; got 2 policies for"):
        rendering.record(env, {"a": CentrePolicy(), "b": CentrePolicy()}, tmp_path / "a.mp4")
    with pytest.raises(ValueError, match="needs a policy; got none"):
        rendering.record(env, {}, tmp_path / "a.html")


def test_record_plays_several_policies_on_the_picture_that_was_drawn(
    linear: Any, tmp_path: Path
) -> None:
    env: Any = SaccadeEnv("sample", linear, max_saccades=2)  # without a seed every reset draws
    path = tmp_path / "a.json"
    indices, reset_policy = [], env.reset_policy

    def note(policy: Any) -> None:
        indices.append(int(env.state.image_index[0]))
        reset_policy(policy)

    env.reset_policy = note
    policies = {"random": RandomPolicy(grid=env.config.grid), "centre": CentrePolicy()}
    result = rendering.record(env, policies, path)
    assert len(indices) == 2
    assert len({*indices}) == 1
    document = check_scanpaths(json.loads(path.read_text(encoding="utf-8")))
    assert [policy["sees"] for policy in document["policies"]] == ["no", "no"]
    first = document["policies"][0]["saccades"]
    assert result["saccades"] == len(first) - 1 == 2
    assert result["certainty"] == pytest.approx(first[-1]["certainty"], abs=1e-4)
    whole = linear.classify(linear.begin(env.images), torch.ones(1, 14, 14, dtype=torch.bool))[0]
    assert document["full"]["certainty"] == pytest.approx(float(core.certainty(whole)), abs=1e-4)
