"""A person watches and plays: the window, videos by Gymnasium's wrappers, clicks to tokens."""

from __future__ import annotations

import copy
import pickle
import sys
import time
import warnings
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import gymnasium as gym
import imageio.v3 as iio
import numpy as np
import pytest
from gymnasium.error import DependencyNotInstalled
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers import vector as vector_wrappers

import saccade_env
from saccade_env import SaccadeEnv, SaccadeVectorEnv, rendering
from saccade_env.agents import SB3VecEnv
from saccade_env.drawing.frame import GREY, MARGIN, layout

pygame: Any = pytest.importorskip(
    "pygame", reason="needs pygame: pip install 'saccade-env[window]'"
)
FRAME = (480, 832, 3)


@pytest.fixture(autouse=True)
def in_no_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(SaccadeEnv.metadata, "render_fps", 1000)
    yield
    pygame.quit()


@pytest.fixture(params=["single", "vector"])
def make(request: pytest.FixtureRequest, sample: Any, linear: Any) -> Any:
    """Make either environment; the vector environment has two rows."""
    if request.param == "single":
        return lambda **keywords: SaccadeEnv(sample, linear, **keywords)
    return lambda **keywords: SaccadeVectorEnv(2, sample, linear, **keywords)


def shown() -> np.ndarray:
    return pygame.surfarray.array3d(pygame.display.get_surface()).swapaxes(0, 1)


def act(env: Any, token: int) -> Any:
    return env.step(token if isinstance(env, gym.Env) else np.full(env.num_envs, token))


def watch(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """Collect what is shown from now on."""
    seen: list[np.ndarray] = []
    flip = pygame.display.flip
    monkeypatch.setattr(pygame.display, "flip", lambda: (flip(), seen.append(shown())))
    return seen


def test_reset_and_step_show_frames_by_themselves(
    sample: Any, linear: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    env, twin = (SaccadeEnv(sample, linear, render_mode=m) for m in ("human", "rgb_array"))
    assert not pygame.display.get_init(), "the window should wait for the first frame"
    seen = watch(monkeypatch)
    for step in range(3):
        for each in (env, twin):
            act(each, 30 * step) if step else each.reset(seed=4)
        assert env.render() is None
        np.testing.assert_array_equal(shown(), twin.render())
    assert len(seen) == 3, "render() should draw nothing more"
    env.close()


def test_the_window_of_rows_is_tiled(
    sample: Any, linear: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pygame.display, "get_desktop_sizes", lambda: [(4000, 3000)])
    both = [
        SaccadeVectorEnv(3, sample, linear, render_mode=m, max_saccades=2)
        for m in ("human", "rgb_array")
    ]
    for env in both:
        env.reset(seed=1)
        act(env, 40)
    assert both[0].render() is None
    frames = both[1].render()
    assert isinstance(frames, tuple)
    np.testing.assert_array_equal(shown(), rendering.tiled(frames))
    seen = watch(monkeypatch)
    act(both[0], 90)
    assert len(seen) == 2, "the last saccade and the next episode's begin are frames both"
    both[0].close()


def test_frames_come_at_the_rate_of_the_metadata(make: Any) -> None:
    env = make(render_mode="human")
    env.metadata = {**env.metadata, "render_fps": 10}
    env.reset(seed=0)
    begin = time.perf_counter()
    for token in (0, 50, 100):
        act(env, token)
    assert time.perf_counter() - begin >= 0.28
    env.close()


def test_it_goes_on_without_a_window_that_the_user_closed(make: Any) -> None:
    env = make(render_mode="human")
    env.reset(seed=0)
    pygame.event.post(pygame.event.Event(pygame.QUIT))
    with pytest.warns(UserWarning, match="the window was closed: the env.* goes on") as told:
        act(env, 30)
    assert len(told) == 1
    env.metadata = {**env.metadata, "render_fps": 0.1}  # who waits is noticed
    begin = time.perf_counter()
    act(env, 60)
    env.reset()
    env.render()
    assert time.perf_counter() - begin < 5
    assert not pygame.display.get_init()
    env.close()


@pytest.mark.parametrize("opened", [False, True])
def test_closing_twice_is_once(make: Any, opened: bool) -> None:
    env = make(render_mode="human")
    if opened:
        env.reset(seed=0)
    assert pygame.display.get_init() == opened
    for _ in range(2):
        env.close()
        assert not pygame.display.get_init()
    make(render_mode="rgb_array").close()


def test_a_closed_environment_opens_another_window(sample: Any, linear: Any) -> None:
    env = SaccadeEnv(sample, linear, render_mode="human")
    for _ in range(2):
        env.reset(seed=0)
        assert shown().shape == FRAME
        env.close()


def test_keys_and_clicks_are_left_to_the_program(sample: Any, linear: Any) -> None:
    env = SaccadeEnv(sample, linear, render_mode="human")
    env.reset(seed=0)
    pygame.event.clear()
    for kind in (pygame.MOUSEMOTION, pygame.MOUSEBUTTONDOWN, pygame.KEYDOWN):
        pygame.event.post(pygame.event.Event(kind))
    act(env, 3)
    kept = {event.type for event in pygame.event.get()}
    assert {pygame.MOUSEBUTTONDOWN, pygame.KEYDOWN} <= kept
    assert pygame.MOUSEMOTION not in kept
    env.close()


@pytest.mark.parametrize(
    "duplicate",
    [
        pytest.param(copy.deepcopy, marks=pytest.mark.slow, id="deepcopy"),
        pytest.param(lambda env: pickle.loads(pickle.dumps(env)), id="pickle"),
    ],
)
def test_a_window_is_no_part_of_a_copy(make: Any, duplicate: Any) -> None:
    env = make(render_mode="human")
    env.reset(seed=0)
    twin = duplicate(env)
    twin.close()
    assert pygame.display.get_init(), "a copy that has shown nothing has no window to close"
    twin = duplicate(env)
    for each in (env, twin):
        act(each, 77)
    env.close()
    act(twin, 12)
    assert pygame.display.get_init(), "who still shows opens it again"
    twin.close()


def test_without_pygame_it_says_how_to_get_it(
    sample: Any, linear: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pygame", None)
    keywords = {"images": sample, "classifier": linear}
    message = r"needs pygame.*pip install 'saccade-env\[window\]'"
    with pytest.raises(DependencyNotInstalled, match=message):
        gym.make(saccade_env.ENV_ID, render_mode="human", **keywords)
    with pytest.raises(DependencyNotInstalled, match=message):
        gym.make_vec(saccade_env.ENV_ID, 2, render_mode="human", **keywords)
    gym.make(saccade_env.ENV_ID, render_mode="rgb_array", **keywords).close()


def test_gymnasium_makes_it_with_a_window_of_its_own(sample: Any, linear: Any) -> None:
    keywords = {"images": sample, "classifier": linear, "render_mode": "human"}
    env = gym.make(saccade_env.ENV_ID, **keywords)
    assert "human" in env.metadata["render_modes"]
    env.reset(seed=0)
    assert shown().shape == FRAME
    env.close()
    rows = gym.make_vec(saccade_env.ENV_ID, 2, "vector_entry_point", **keywords)
    rows.reset(seed=0)
    assert pygame.display.get_init()
    rows.close()


def test_stable_baselines_renders_it(sample: Any, linear: Any) -> None:
    env = SB3VecEnv(SaccadeVectorEnv(2, sample, linear, render_mode="human"))
    env.reset()
    assert env.render() is None
    env.close()
    assert not pygame.display.get_init()


@pytest.mark.parametrize("rows", [None, 2, pytest.param(5, marks=pytest.mark.slow)])
def test_human_rendering_wraps_it(sample: Any, linear: Any, rows: int | None) -> None:
    if rows is None:
        env: Any = gym.wrappers.HumanRendering(SaccadeEnv(sample, linear, render_mode="rgb_array"))
    else:
        pytest.importorskip("cv2", reason="needs OpenCV: pip install 'gymnasium[other]'")
        inner = SaccadeVectorEnv(rows, sample, linear, render_mode="rgb_array")
        env = vector_wrappers.HumanRendering(inner)
    env.reset(seed=0)
    env.step(env.action_space.sample())
    assert shown().shape == FRAME
    assert shown().std() > 0
    env.close()


# Gymnasium leaves the encoder's pipes to the collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.slow
def test_record_video_has_every_frame(
    sample: Any, linear: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("moviepy", reason="needs MoviePy: pip install 'gymnasium[other]'")
    monkeypatch.setitem(SaccadeEnv.metadata, "render_fps", 2)
    keywords: dict[str, Any] = {"render_mode": "rgb_array", "max_saccades": 4}
    one = SaccadeEnv(sample, linear, **keywords)
    check_video(gym.wrappers.RecordVideo(one, str(tmp_path / "one")), 1, tmp_path / "one")
    if hasattr(vector_wrappers, "RecordVideo"):  # younger than the oldest Gymnasium allowed
        # With SAME_STEP, Gymnasium warns, the last frame would be missing.
        keywords["autoreset_mode"] = AutoresetMode.NEXT_STEP
        three = SaccadeVectorEnv(3, sample, linear, **keywords)
        recorded = vector_wrappers.RecordVideo(three, str(tmp_path / "three"))
        check_video(recorded, 3, tmp_path / "three")


def check_video(env: Any, rows: int, folder: Path) -> None:
    env.reset(seed=0)
    for token in (0, 50, 100, 150):
        act(env, token)
    env.close()
    (path,) = folder.glob("*.mp4")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # imageio leaves pipes to the collector
        frames, meta = list(iio.imiter(path)), iio.immeta(path)
    assert len(frames) == 5
    assert meta["fps"] == pytest.approx(2)
    height, width, _ = frames[0].shape
    assert (height % 480, width % 832) == (0, 0)
    assert height // 480 * (width // 832) == rows
    assert all((a != b).any() for a, b in pairwise(frames))


@pytest.mark.parametrize(
    ("count", "grid"), [(1, (1, 1)), (2, (2, 1)), (3, (2, 2)), (5, (3, 2)), (12, (4, 3))]
)
def test_tiles_are_nearly_square(count: int, grid: tuple[int, int]) -> None:
    frames = [np.full((48, 80, 3), 10 * number, np.uint8) for number in range(count)]
    sheet = rendering.tiled(frames)
    assert (sheet.shape, sheet.dtype) == ((48 * grid[0], 80 * grid[1], 3), np.uint8)
    tiles = sheet.reshape(grid[0], 48, grid[1], 80, 3).swapaxes(1, 2).reshape(-1, 48, 80, 3)
    for number, tile in enumerate(tiles):
        assert (tile == (10 * number if number < count else 255)).all()


def test_frames_of_many_sizes_are_not_tiled() -> None:
    for bad in ([], [np.zeros((2, 3, 3), np.uint8), np.zeros((3, 2, 3), np.uint8)]):
        with pytest.raises(ValueError, match="frames must be at least one, all of one size"):
            rendering.tiled(bad)


def test_large_frames_fit_the_desktop(sample: Any, linear: Any) -> None:
    env = SaccadeVectorEnv(4, sample, linear, render_mode="human")
    env.reset(seed=0)
    height, width, _ = shown().shape
    desktop = pygame.display.get_desktop_sizes()[0]
    assert (width <= desktop[0], height < desktop[1]) == (True, True)
    assert width / height == pytest.approx(832 / 480, rel=0.01)
    env.close()


@pytest.mark.parametrize(
    ("image_size", "patch_size"),
    [((224, 224), 16), ((112, 112), 8), ((224, 384), 16), ((384, 224), 16), ((16, 640), 16)],
)
def test_every_token_is_found_at_its_place(image_size: tuple[int, int], patch_size: int) -> None:
    laid = layout(image_size)
    rows, cols = image_size[0] // patch_size, image_size[1] // patch_size
    tall, wide = laid.height / rows, laid.width / cols
    for token in range(rows * cols):
        row, col = divmod(token, cols)
        for down, right in ((0.5, 0.5), (0.06, 0.06), (0.06, 0.94), (0.94, 0.06), (0.94, 0.94)):
            place = laid.top + (row + down) * tall, MARGIN + (col + right) * wide
            assert rendering.token_at(place, image_size, patch_size) == token


def test_beside_the_picture_is_no_token() -> None:
    inside = {(16, 16): 0, (16, 463): 13, (463, 16): 182, (463, 463): 195}
    for (row, col), token in inside.items():
        assert rendering.token_at((row, col), (224, 224), 16) == token
    for place in [(15, 16), (16, 15), (464, 100), (100, 464), (0, 0), (100, 800)]:
        assert rendering.token_at(place, (224, 224), 16) is None


@pytest.mark.parametrize("token", [0, 13, 97, 195])
def test_what_is_clicked_is_revealed_and_nothing_else_seen(
    sample: Any, linear: Any, token: int
) -> None:
    env = SaccadeEnv(sample, linear, fovea=1, render_mode="rgb_array", hidden="grey")
    env.reset(seed=3)
    picture = np.s_[16:464, 16:464]
    assert (env.render()[picture] == GREY).all()
    env.step(token)
    seen = (env.render()[picture] != GREY).any(-1)
    places = np.argwhere(seen) + 16
    inner = places[(np.abs(places - places.mean(0)) < 12).all(1)]
    assert {rendering.token_at((r, c), (224, 224), 16) for r, c in inner.tolist()} == {token}
    # The outline and a shine of the border are a few pixels wide.
    assert len(places) <= (32 + 6) ** 2


def test_hidden_tokens_are_grey_in_rows_too(sample: Any, linear: Any) -> None:
    env = SaccadeVectorEnv(2, sample, linear, render_mode="rgb_array", hidden="grey")
    env.reset(seed=0)
    assert all((frame[16:464, 16:464] == GREY).all() for frame in env.render())
    env.close()


def test_who_guesses_is_not_told_the_label(sample: Any, linear: Any) -> None:
    frames = {}
    for hidden in ("dimmed", "grey"):
        env = SaccadeEnv(sample, linear, render_mode="rgb_array", hidden=hidden)
        env.reset(seed=0, options={"index": 0})
        frames[hidden] = env.render()
    panels = {name: frame[:, 480:] for name, frame in frames.items()}
    assert (panels["dimmed"] != panels["grey"]).any(), "the label is still in the panel"
