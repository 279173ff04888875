"""The greedy oracle against trying one fixation after the other, and kept out of the contest."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from saccade_env import SaccadeEnv, SaccadeVectorEnv, core, geometry, policies, rendering
from saccade_env.classifiers.vit.dino import from_state_dicts
from saccade_env.cli import console
from saccade_env.config import SaccadeConfig
from saccade_env.evaluation import evaluate, report, rollout
from saccade_env.policies.oracle import candidates
from saccade_env.registry import Entry
from saccade_env.testing import check_policy

TARGETS = ("true_class", "certainty", "correct_certainty", "correct", "certainty_gain")
FEW = SaccadeConfig(max_saccades=3)


@pytest.fixture(scope="module")
def episodes() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    coarse = torch.randint(0, 256, (5, 3, 14, 14), generator=generator, dtype=torch.uint8)
    return coarse.repeat_interleave(16, 2).repeat_interleave(16, 3), torch.arange(5) % 7


@pytest.fixture(scope="module")
def small(make_linear: Any) -> Any:
    return make_linear()  # 7 classes


def value(target: str, logits: torch.Tensor, label: int) -> tuple[float, float]:
    """What a target is worth, and the probability of the true class, which parts ties."""
    p = logits.double().softmax(-1)[0]
    certainty = float(core.certainty(logits)[0])
    right = float(p.argmax() == label)
    worth = {
        "true_class": float(p[label]),
        "certainty": certainty,
        "correct_certainty": certainty * right,
        "correct": right,
    }[target.removesuffix("_gain")]
    return worth, float(p[label]) if not target.startswith("certainty") else 0.0


def brute_force(
    image: torch.Tensor, label: int, classifier: Any, target: str, stride: int, config: Any
) -> list[list[int]]:
    """The same by loops over fixations, one image at a time."""
    grid, reach = config.grid, config.fovea // 2
    memory = classifier.begin(image[None])
    revealed = torch.zeros(1, *grid, dtype=torch.bool)
    offsets = [(side - 1) % stride // 2 for side in grid]
    path = []
    for _ in range(config.max_saccades):
        best: tuple[tuple[float, float], list[int], torch.Tensor] | None = None
        for row in range(offsets[0], grid[0], stride):
            for col in range(offsets[1], grid[1], stride):
                if revealed[0, row, col]:
                    continue
                then = revealed.clone()
                rows = slice(max(0, row - reach), row + reach + 1)
                then[0, rows, max(0, col - reach) : col + reach + 1] = True
                worth = value(target, classifier.classify(memory, then)[0], label)
                if best is None or worth > best[0]:
                    best = worth, [row, col], then
        assert best is not None
        path.append(best[1])
        revealed = best[2]
    return path


def run(
    episodes: Any, classifier: Any, policy: Any, config: SaccadeConfig = FEW, rows: Any = slice(9)
) -> Any:
    return rollout(episodes[0][rows], episodes[1][rows], policy, config, classifier)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("stride", [2, 3])
def test_it_equals_brute_force(episodes: Any, small: Any, target: str, stride: int) -> None:
    oracle = policies.create("greedy-oracle", target=target, stride=stride)
    paths = run(episodes, small, oracle).scanpath.tolist()
    expected = [
        brute_force(image, int(label), small, target, stride, FEW)
        for image, label in zip(*episodes, strict=True)
    ]
    assert paths == expected


@pytest.mark.parametrize("target", ["true_class", "certainty"])
def test_nothing_beats_it_at_the_first_saccade(episodes: Any, small: Any, target: str) -> None:
    measure = "true_class_probability" if target == "true_class" else "certainty"
    config = replace(FEW, max_saccades=1)
    best = getattr(run(episodes, small, policies.create("greedy-oracle", target=target)), measure)
    full = policies.create("greedy-oracle", target=target, stride=1)
    ceiling = getattr(run(episodes, small, full, config), measure)[:, 0]
    for fixation in candidates(view(episodes, small, config), 2)[0].flatten().nonzero().flatten():
        reached = getattr(run(episodes, small, Always(int(fixation)), config), measure)
        assert (best[:, 0] >= reached[:, 0] - 1e-6).all()
    for name in ("random", "centre"):
        reached = getattr(run(episodes, small, policies.create(name), config), measure)
        assert (ceiling >= reached[:, 0] - 1e-6).all()


@pytest.mark.parametrize("target", ["true_class", "correct_certainty"])
def test_gains_are_what_saccades_earn(episodes: Any, small: Any, target: Any) -> None:
    oracle: Any = policies.create("greedy-oracle", target=target, stride=4)
    numbers, labels = torch.arange(5), episodes[1]
    state = core.begin(episodes[0], labels, numbers, FEW, small)
    state, _ = core.saccade(state, 20 + numbers, FEW, small)
    core.reset_policy(oracle, state, FEW, small)
    found = oracle.gains(core.view(state)).flatten(1)
    assert torch.equal(found.isfinite(), candidates(core.view(state), 4).flatten(1))
    for fixation in found.isfinite().any(0).nonzero().flatten():
        then = core.saccade(state, fixation.repeat(5), FEW, small)[0]
        before, after = (
            one.logits.double().log_softmax(-1).gather(1, labels[:, None])[:, 0]
            if target == "true_class"
            else one.certainty.double() * core.correct(one)
            for one in (state, then)
        )
        known = found[:, fixation].isfinite()
        torch.testing.assert_close(
            found[known, fixation], (after - before)[known], atol=1e-5, rtol=0
        )


class Always:
    """Looks at one place."""

    name, sees_full_image = "always", False

    def __init__(self, fixation: int) -> None:
        self.fixation = fixation

    def reset(self, images: torch.Tensor) -> None: ...

    def act(self, view: core.View) -> torch.Tensor:
        return torch.full((len(view.revealed),), self.fixation)


def view(episodes: Any, classifier: Any, config: SaccadeConfig) -> core.View:
    images, labels = episodes
    return core.view(core.begin(images, labels, torch.arange(len(labels)), config, classifier))


def test_it_does_not_depend_on_batches(episodes: Any, small: Any) -> None:
    whole = run(episodes, small, policies.create("greedy-oracle")).scanpath
    parts = policies.create("greedy-oracle", batch_size=5)
    assert (run(episodes, small, parts).scanpath == whole).all()
    check_policy(parts, config=replace(FEW, max_saccades=2))


def test_candidates_cover_the_grid_evenly_and_open_up(episodes: Any, small: Any) -> None:
    first = view(episodes, small, FEW)
    assert candidates(first, 2).sum((1, 2)).tolist() == [49] * 5
    rows = candidates(first, 5)[0].any(1).nonzero().flatten().tolist()
    assert rows == [1, 6, 11], "as far from the first row as from the last, or nearly"
    inhibition = first.inhibition.clone()
    inhibition[0, ::2, ::2] = True
    tried = candidates(first._replace(inhibition=inhibition), 2)
    assert torch.equal(tried[0], ~inhibition[0]), "all open cells where no candidate is open"
    assert tried[1:].sum((1, 2)).tolist() == [49] * 4


def test_any_grid_and_the_opening_of_a_full_one(make_linear: Any) -> None:
    wide = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8)
    config = SaccadeConfig((4, 6), fovea=3, max_saccades=8)
    oracle = policies.create("greedy-oracle", grid=(4, 6), stride=4)
    result = rollout(wide, torch.tensor([0, 6]), oracle, config, make_linear((64, 96)))
    assert (result.visible_share[:, -1] == 1).all()


def test_another_classifier_may_look_ahead(episodes: Any, small: Any, make_linear: Any) -> None:
    other = make_linear()
    other.matrix = other.matrix.flip(0)
    own = run(episodes, other, policies.create("greedy-oracle")).scanpath
    lent = policies.create("greedy-oracle", classifier=other)
    assert lent.weights is other.weights  # type: ignore[attr-defined]
    result = run(episodes, small, lent).scanpath
    assert (result == own).all()
    assert (run(episodes, small, policies.create("greedy-oracle")).scanpath != own).any()


def test_a_kv_cache_is_left_out(episodes: Any) -> None:
    from timm.models.vision_transformer import VisionTransformer

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = VisionTransformer(patch_size=16, embed_dim=16, depth=4, num_heads=2)
        head = {"linear.weight": torch.randn(7, 64), "linear.bias": torch.zeros(7)}
    built = [
        from_state_dicts(
            {k: v for k, v in network.state_dict().items() if not k.startswith("head")},
            head, num_heads=2, mode=mode,
        )
        for mode in ("recompute", "kv_cache")
    ]  # fmt: skip
    config, oracle = replace(FEW, max_saccades=2), policies.create("greedy-oracle", stride=5)
    recomputed, cached = (run(episodes, judge, oracle, config, slice(2)) for judge in built)
    assert (recomputed.scanpath == cached.scanpath).all()


def test_what_it_needs_is_named(episodes: Any, small: Any) -> None:
    oracle = policies.create("greedy-oracle")
    with pytest.raises(TypeError, match=r"images are not enough: .*reset_policy"):
        oracle.reset(episodes[0])
    with pytest.raises(RuntimeError, match="must be reset before act"):
        oracle.act(view(episodes, small, FEW))
    with pytest.raises(ValueError, match="needs labelled images.*target='certainty'"):
        run((episodes[0], episodes[1] - 1), small, oracle)
    run((episodes[0], episodes[1] - 1), small, policies.create("greedy-oracle", target="certainty"))
    with pytest.raises(ValueError, match="give the policy the classifier's grid"):
        run(episodes, small, policies.create("greedy-oracle", grid=(7, 7)))
    with pytest.raises(ValueError, match="Did you mean 'true_class'"):
        policies.create("greedy-oracle", target="true_clas")
    for name in ("stride", "batch_size"):
        with pytest.raises(ValueError, match=f"{name} must be ≥ 1; got 0"):
            policies.create("greedy-oracle", **{name: 0})
    run(episodes, small, oracle)
    with pytest.raises(ValueError, match="was reset on 5 episodes; got 2"):
        oracle.act(view((episodes[0][:2], episodes[1][:2]), small, FEW))


def test_environments_hand_it_their_episodes(linear: Any, sample: Any, tmp_path: Path) -> None:
    env = SaccadeEnv(sample, linear, max_saccades=2, render_mode="rgb_array")
    oracle = policies.create("greedy-oracle", stride=4)
    played = rendering.record(env, oracle, tmp_path / "film.gif", index=3)
    assert played["saccades"] == 2
    vector = SaccadeVectorEnv(3, images=sample, classifier=linear, max_saccades=2)
    vector.reset(seed=0)
    vector.reset_policy(oracle)
    first = oracle.act(vector.view)
    vector.step(first.numpy())
    images, labels = vector._running().images, vector._running().labels
    expected = rollout(images, labels, oracle, vector.config, linear).scanpath
    assert geometry.index_to_row_col(first, linear.grid).tolist() == expected[:, 0].tolist()


def test_it_competes_with_nobody(linear: Any, sample: Any, tmp_path: Path) -> None:
    assert "greedy-oracle" not in policies.available()
    assert [n for n, e in policies.REGISTRY.entries.items() if e.ceiling] == ["greedy-oracle"]
    assert not Entry("a:b", "c").ceiling
    names = ("greedy-oracle", "random", "centre")
    built = {name: policies.create(name) for name in names}
    result = evaluate(
        built, sample, linear, SaccadeConfig(max_saccades=2), out=tmp_path, progress=False
    )
    assert result.summary["policies"]["greedy-oracle"]["sees_label"] is True
    assert "sees_label" not in result.summary["policies"]["random"], "old runs can go on"
    assert console.best(result.summary) == "centre"
    assert report.ceilings(result.summary) == ["greedy-oracle"]
    shown = Console(width=100, record=True, file=io.StringIO())
    report.show(result.summary, shown)
    lines = [line.split() for line in shown.export_text().splitlines() if line.strip()]
    order = [line[0] for line in lines if line[0] in (*names, report.CEILING)]
    assert order == ["random", "centre", "ceiling", "greedy-oracle"]
