"""Looking ahead without a label, against revealing one window after the other by hand."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from small_cnns import small_cnn
from torch import nn

from saccade_env import SaccadeEnv, SaccadeVectorEnv, classifiers, core, geometry, images, policies
from saccade_env.agents.demonstrations import Demonstrations, read
from saccade_env.app.studio import Asked, Studio
from saccade_env.card import describe_policy, what_it_sees
from saccade_env.classifiers.cnn import CnnClassifier
from saccade_env.classifiers.vit.dino import from_state_dicts
from saccade_env.cli import console
from saccade_env.config import SaccadeConfig
from saccade_env.evaluation import evaluate, report, rollout
from saccade_env.observe.activation import blur, foveate, logits_and_activation
from saccade_env.policies.attention_maps import attention_map, logits_and_attention
from saccade_env.policies.lookahead import promising
from saccade_env.testing import check_policy

EYES = ["image", 64]
FEW = SaccadeConfig(max_saccades=3)


def small_dino(mode: Any = "recompute") -> Any:
    from timm.models.vision_transformer import VisionTransformer

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = VisionTransformer(patch_size=16, embed_dim=16, depth=4, num_heads=2)
        head = {"linear.weight": torch.randn(7, 64), "linear.bias": torch.zeros(7)}
    tensors = {k: v for k, v in network.state_dict().items() if not k.startswith("head")}
    return from_state_dicts(tensors, head, num_heads=2, mode=mode)


@pytest.fixture(scope="module")
def cnn() -> CnnClassifier:
    return small_cnn()


@pytest.fixture(scope="module")
def pictures() -> torch.Tensor:
    draw = torch.Generator().manual_seed(1)
    coarse = torch.randint(0, 256, (5, 3, 14, 14), generator=draw, dtype=torch.uint8)
    fine = torch.randint(-60, 60, (5, 3, 224, 224), generator=draw)
    large = coarse.repeat_interleave(16, 2).repeat_interleave(16, 3)
    return (large.int() + fine).clamp(0, 255).to(torch.uint8)


def run(
    pictures: torch.Tensor, judge: Any, policy: Any, config: Any = FEW, labels: Any = None
) -> Any:
    labels = torch.full((len(pictures),), core.UNLABELLED) if labels is None else labels
    return rollout(pictures, labels, policy, config, judge)


def begun(pictures: torch.Tensor, judge: Any, config: Any = FEW) -> core.State:
    labels = torch.full((len(pictures),), core.UNLABELLED)
    return core.begin(pictures, labels, torch.arange(len(pictures)), config, judge)


def eye_sees(image: torch.Tensor, revealed: torch.Tensor, eye: Any) -> torch.Tensor:
    return image if eye == "image" else foveate(image, blur(image, eye), revealed, 16)


def by_hand(
    image: torch.Tensor, revealed: torch.Tensor, judge: Any, eye: Any, agrees: str, k: int
) -> dict[tuple[int, int], float]:
    """Scores of the fixations tried on one image [1, …], by loops."""
    picture = eye_sees(image, revealed, eye)
    whole = torch.ones_like(revealed)
    believed = judge.classify(judge.begin(picture), whole)[0].double().softmax(-1)[0]
    if isinstance(judge, CnnClassifier):
        promise = logits_and_activation(judge, picture)[1][0]
    else:
        promise = attention_map(judge.network, picture, judge.grid)[0]
        promise = (promise - promise.min()) / (promise.max() - promise.min())
    rows, cols = judge.grid

    def window(row: int, col: int) -> torch.Tensor:
        shown = torch.zeros(rows, cols, dtype=torch.bool)
        shown[max(0, row - 1) : row + 2, max(0, col - 1) : col + 2] = True
        return shown

    left = [(r, c) for r in range(rows) for c in range(cols) if not revealed[0, r, c]]
    scores: dict[tuple[int, int], float] = {}
    while left and len(scores) < k:
        best = max(left, key=lambda at: float(promise[window(*at) & ~revealed[0]].double().sum()))
        left = [at for at in left if not (window(*at) & window(*best)).any()]
        logits = judge.classify(judge.begin(picture), revealed | window(*best))[0].double()
        p = logits.softmax(-1)[0]
        top = float(p[believed.argmax()].log())
        scores[best] = top if agrees == "top" else float((believed * p.log()).sum())
    return scores


@pytest.mark.slow
@pytest.mark.parametrize("eye", EYES)
@pytest.mark.parametrize("agrees", ["top", "cross-entropy"])
@pytest.mark.parametrize("build", [small_cnn, small_dino])
def test_scores_are_those_of_revealing_by_hand(
    pictures: torch.Tensor, build: Any, eye: Any, agrees: str
) -> None:
    judge = build()
    policy = policies.create("lookahead", k=4, eye=eye, agrees=agrees, batch_size=3)
    state = begun(pictures, judge)
    core.reset_policy(policy, state, FEW, judge)
    for _ in range(FEW.max_saccades):
        scores = policy.scores(core.view(state))  # type: ignore[attr-defined]
        fixation = policy.act(core.view(state))
        for row, image in enumerate(pictures):
            hand = by_hand(image[None], state.revealed[row : row + 1], judge, eye, agrees, 4)
            tried = scores[row].isfinite().nonzero().tolist()
            assert {tuple(at) for at in tried} == set(hand)
            for (r, c), score in hand.items():
                assert float(scores[row, r, c]) == pytest.approx(score, abs=1e-4)
            assert divmod(int(fixation[row]), 14) == max(hand, key=lambda at: hand[at])
        state, _ = core.saccade(state, fixation, FEW, judge)


@pytest.mark.parametrize("eye", EYES)
def test_no_label_is_used(pictures: torch.Tensor, cnn: Any, eye: Any) -> None:
    policy = policies.create("lookahead", k=3, eye=eye)
    without = run(pictures, cnn, policy).scanpath
    for labels in (torch.arange(5), torch.tensor([6, 0, 3, 3, 1])):
        assert (run(pictures, cnn, policy, labels=labels).scanpath == without).all()
    assert not policy.sees_label  # type: ignore[attr-defined]
    labels = torch.tensor([5, 5, 5, 5, 5])
    state = core.begin(pictures, labels, torch.arange(5), FEW, cnn)
    core.reset_policy(policy, state, FEW, cnn)
    kept = [value for value in vars(policy)["_episodes"] if isinstance(value, torch.Tensor)]
    assert all(value.dtype == torch.uint8 for value in kept), "pictures alone are kept"


@pytest.mark.slow
@pytest.mark.parametrize("eye", EYES)
@pytest.mark.parametrize("build", [small_cnn, small_dino])
def test_it_does_not_depend_on_batches(pictures: torch.Tensor, build: Any, eye: Any) -> None:
    judge, config = build(), replace(FEW, max_saccades=4)
    policy = policies.create(f"lookahead:k=3,eye={eye}")
    whole = run(pictures, judge, policy, config).scanpath
    parts = policies.create("lookahead", k=3, eye=eye, batch_size=1)
    assert (run(pictures, judge, parts, config).scanpath == whole).all()
    check_policy(policy, classifier=judge, config=config)


@pytest.mark.parametrize("eye", EYES)
def test_one_candidate_is_following_what_promises_most(
    pictures: torch.Tensor, eye: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cnn = small_cnn()
    state = begun(pictures, cnn)
    policy = policies.create("lookahead", k=1, eye=eye)
    core.reset_policy(policy, state, FEW, cnn)
    classify, refuse = cnn.classify, lambda *given: pytest.fail("something is tried")
    for _ in range(FEW.max_saccades):
        monkeypatch.setattr(cnn, "classify", refuse)
        fixation = policy.act(core.view(state))
        monkeypatch.setattr(cnn, "classify", classify)
        promise = logits_and_activation(cnn, eye_sees(pictures, state.revealed, eye))[1]
        hidden = promise.masked_fill(state.revealed, 0)[:, None]
        sums = nn.functional.avg_pool2d(hidden, 3, 1, 1, divisor_override=1)[:, 0]
        best = sums.masked_fill(state.revealed, -1).flatten(1).argmax(-1)
        assert torch.equal(fixation, best)
        state, _ = core.saccade(state, fixation, FEW, cnn)


@pytest.mark.parametrize(
    ("fovea", "grid", "k"), [(1, (4, 6), 30), (3, (14, 14), 40), (5, (7, 5), 4)]
)
def test_windows_do_not_overlap(fovea: int, grid: tuple[int, int], k: int) -> None:
    draw = torch.Generator().manual_seed(0)
    promise = torch.randint(0, 9, (6, *grid), generator=draw).double()
    revealed = torch.rand(6, *grid, generator=draw) < torch.linspace(0, 1, 6)[:, None, None]
    tried = promising(promise, revealed, ~revealed, fovea, k)
    windows = geometry.fovea_windows(grid, fovea, torch.device("cpu")).long()
    for row in range(6):
        shown = windows[tried[row].flatten()].sum(0)
        assert shown.max() <= 1
        if revealed[row].all():
            assert not tried[row].any(), "nothing is open"
            continue
        count = int(tried[row].sum())
        assert 1 <= count <= k
        assert not (tried[row] & revealed[row]).any()
        if count < k:  # only since any other overlaps one of them
            rivals = windows[(~revealed[row]).flatten()]
            assert ((rivals * shown).sum((1, 2)) > 0).all()


def test_equal_windows_promise_the_same_and_the_first_is_taken() -> None:
    promise = torch.tensor([0.1, 0.7, 0.3]).repeat(3, 4, 2).mul(2**20).round().double()
    revealed = torch.ones(3, 4, 6, dtype=torch.bool)
    revealed[:, 1:3, 2:4] = False  # any of the four windows shows all four cells
    tried = promising(promise, revealed, ~revealed, 3, 5)
    assert tried.flatten(1).nonzero()[:, 1].tolist() == [8, 8, 8]
    everything = torch.ones_like(revealed)
    assert promising(promise, everything, everything, 3, 5).flatten(1).sum(1).tolist() == [1] * 3


def test_when_nothing_is_hidden_it_goes_on() -> None:
    small = small_cnn((64, 96))
    wide = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8)
    config = SaccadeConfig((4, 6), fovea=3, max_saccades=14)
    for eye in ("image", 32):
        policy = policies.create("lookahead", eye=eye, grid=(4, 6))
        result = run(wide, small, policy, config)
        assert (result.visible_share[:, -1] == 1).all()
        assert (run(wide[1:], small, policy, config).scanpath == result.scanpath[1:]).all()


@pytest.mark.parametrize("eye", EYES)
def test_its_eye_sees_no_more_than_it_says(pictures: torch.Tensor, cnn: Any, eye: Any) -> None:
    """What a small picture loses changes nothing, unless it is the image that is seen."""
    other = pictures.clone().unflatten(2, (-1, 7)).unflatten(4, (-1, 7))
    other = other.flip(3, 5).flatten(4).flatten(2, 3)  # within 7×7 pixels: of 32×32, all the same
    eye = 32 if eye == 64 else eye
    policy, view = policies.create("lookahead", k=3, eye=eye), core.view(begun(pictures, cnn))
    scores = []
    for seen in (pictures, other):
        core.reset_policy(policy, begun(seen, cnn), FEW, cnn)
        scores.append(policy.scores(view))  # type: ignore[attr-defined]
    assert torch.equal(*scores) == (eye == 32)
    assert what_it_sees(policy) == ("yes" if eye == "image" else "32×32 pixels")
    assert what_it_sees(policies.StopWhenCertain(policy, 0.5)) == what_it_sees(policy)


def test_forwards_are_what_it_says(pictures: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    cnn, seen = small_cnn(), []
    for name in ("classify", "features"):
        ask = getattr(cnn, name)
        monkeypatch.setattr(cnn, name, lambda *a, ask=ask: (seen.append(len(a[0])), ask(*a))[1])
    for eye, k, forwards in (("image", 5, 5), (64, 5, 6), (64, 1, 1), ("image", 1, 0)):
        policy = policies.create("lookahead", k=k, eye=eye)
        assert policy.forwards == forwards  # type: ignore[attr-defined]
        state = begun(pictures, cnn)
        core.reset_policy(policy, state, FEW, cnn)
        seen.clear()
        policy.act(core.view(state))
        assert sum(seen) == forwards * len(pictures)


def test_another_classifier_may_look_ahead(pictures: torch.Tensor, linear: Any, cnn: Any) -> None:
    alone = run(pictures, cnn, policies.create("lookahead", k=3)).scanpath
    lent = policies.create("lookahead", k=3, classifier=cnn)
    assert (run(pictures, linear, lent).scanpath == alone).all()
    assert lent.weights is cnn.weights  # type: ignore[attr-defined]


def test_a_kv_cache_is_left_out(pictures: torch.Tensor) -> None:
    for eye in EYES:
        policy = policies.create("lookahead", k=2, eye=eye)
        config = replace(FEW, max_saccades=2)
        paths = [
            run(pictures[:2], small_dino(mode), policy, config).scanpath
            for mode in ("recompute", "kv_cache")
        ]
        assert (paths[0] == paths[1]).all()


def test_logits_and_attention_are_of_one_forward(pictures: torch.Tensor) -> None:
    judge = small_dino()
    logits, maps = logits_and_attention(judge, pictures)
    whole = torch.ones(5, 14, 14, dtype=torch.bool)
    torch.testing.assert_close(logits, judge.classify(judge.begin(pictures), whole)[0])
    torch.testing.assert_close(maps, attention_map(judge.network, pictures, (14, 14)))


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"k": 0}, "k must be a whole number ≥ 1; got 0"),
        ({"batch_size": 0}, "batch_size must be a whole number ≥ 1; got 0"),
        ({"eye": 0}, "eye must be 'image' or a whole number of pixels ≥ 1; got 0"),
        ({"eye": "picture"}, "eye must be 'image' or a whole number of pixels ≥ 1; got 'picture'"),
        ({"agrees": "entropy"}, "Did you mean 'cross-entropy'"),
    ],
)
def test_values_out_of_range_are_named(keywords: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        policies.create("lookahead", **keywords)


def test_names_have_parameters() -> None:
    policy: Any = policies.create("lookahead:k=2,eye=48,agrees=cross-entropy")
    assert (policy.k, policy.eye, policy.agrees) == (2, 48, "cross-entropy")
    assert policies.create("lookahead:eye=image").sees_full_image
    with pytest.raises(
        ValueError, match="'eye' of policy 'lookahead' must be a whole number or im"
    ):
        policies.create("lookahead:eye=pictures")
    with pytest.raises(ValueError, match="cannot be set in a name"):
        policies.create("lookahead:classifier=resnet50")


def test_what_it_needs_is_named(pictures: torch.Tensor, cnn: Any, linear: Any) -> None:
    policy = policies.create("lookahead", k=2)
    with pytest.raises(TypeError, match=r"images are not enough: .*reset_policy"):
        policy.reset(pictures)
    with pytest.raises(RuntimeError, match="must be reset before act"):
        policy.act(core.view(begun(pictures, cnn)))
    with pytest.raises(ValueError, match="tells where it sees.*'linear' does not"):
        run(pictures, linear, policy)
    odd: Any = small_cnn()
    odd.network.fc = nn.Sequential(odd.network.fc)  # no layer of which it is known where it looks
    with pytest.raises(ValueError, match="'small' does not"):
        run(pictures, odd, policy)
    with pytest.raises(ValueError, match="give the policy the classifier's grid"):
        run(pictures, cnn, policies.create("lookahead", grid=(7, 7)))
    with pytest.raises(ValueError, match="at most half of the image's 224 pixels.*got 113"):
        run(pictures, cnn, policies.create("lookahead", eye=113))
    run(pictures, cnn, policies.create("lookahead", k=2, eye=112))
    run(pictures, cnn, policy)
    with pytest.raises(ValueError, match="was reset on 5 episodes; got 2"):
        policy.act(core.view(begun(pictures[:2], cnn)))


def test_nan_is_named(pictures: torch.Tensor) -> None:
    broken = small_cnn()
    network: Any = broken.network
    run(pictures[:1], broken, policies.create("lookahead", k=2))
    network.trunk[0].bias[3] = torch.nan
    policy = policies.create("lookahead", k=2, classifier=broken)
    with pytest.raises(FloatingPointError, match="'small' gave"):
        run(pictures[:1], small_cnn(), policy)


def test_environments_hand_it_their_episodes(sample: Any) -> None:
    cnn = small_cnn(classes=1000)
    policy = policies.create("lookahead", k=2, eye=64)
    vector = SaccadeVectorEnv(3, images=sample, classifier=cnn, max_saccades=2)
    vector.reset(seed=0)
    vector.reset_policy(policy)
    first = policy.act(vector.view)
    expected = run(vector.images, cnn, policy, vector.config).scanpath
    assert geometry.index_to_row_col(first, cnn.grid).tolist() == expected[:, 0].tolist()
    env = SaccadeEnv(sample, cnn, max_saccades=3)
    env.reset(options={"index": 1})
    env.step(20)
    env.reset_policy(policy)  # in the middle of an episode
    assert 0 <= int(policy.act(env.view)) < 196


def test_it_competes_where_it_is_named(sample: Any, tmp_path: Any) -> None:
    assert "lookahead" not in policies.available()
    entry = policies.REGISTRY["lookahead"]
    assert (entry.slow, entry.ceiling) == (True, False)
    names = ("centre", "lookahead:k=2", "lookahead:k=2,eye=64", "greedy-oracle:stride=7")
    result = evaluate(
        {name: policies.create(name) for name in names},
        sample,
        small_cnn(classes=1000),
        SaccadeConfig(max_saccades=2),
        out=tmp_path,
        progress=False,
    )
    assert report.ceilings(result.summary) == ["greedy-oracle:stride=7"]
    described = result.summary["policies"]["lookahead:k=2,eye=64"]
    assert {**described, "grid": None} == {
        "name": "lookahead", "sees_full_image": False, "k": 2, "eye": 64, "agrees": "top",
        "grid": None, "periphery": 64,
    }  # fmt: skip
    assert described == describe_policy(policies.create("lookahead:k=2,eye=64"))
    shown = Console(width=100, record=True, file=io.StringIO())
    report.show(result.summary, shown)
    text = shown.export_text()
    assert text.index("lookahead:k=2,eye=64") < text.index("ceiling") < text.index("greedy-oracle")
    assert console.best(result.summary) != "greedy-oracle:stride=7"


def test_it_teaches_what_it_tries(sample: Any, tmp_path: Any) -> None:
    env = SaccadeVectorEnv(2, images=sample, classifier=small_cnn(classes=1000), max_saccades=2)
    teacher, kept = policies.create("lookahead", k=3), Demonstrations(tmp_path, {"observation": {}})
    [path] = kept.collect(env, teacher, 4, lambda *given: (None, None), progress=False)
    shown = read(path, ["revealed", "fixation"])
    tried = np.isfinite(shown.gains)
    assert shown.asked.all()
    assert (tried.sum(-1) == 3).all()
    assert shown.masks[tried].all(), "open ones"
    best = np.stack(np.divmod(np.nanargmax(shown.gains, -1), 14), -1)
    assert (shown.observations["fixation"][:, 1] == best[:, 0]).all(), "the best is made"


@pytest.mark.parametrize("agrees", ["top", "cross-entropy"])
def test_gains_are_what_more_it_agrees(pictures: torch.Tensor, cnn: Any, agrees: Any) -> None:
    policy: Any = policies.create("lookahead", k=3, eye=64, agrees=agrees)
    state, _ = core.saccade(begun(pictures, cnn), torch.arange(5) * 20, FEW, cnn)
    core.reset_policy(policy, state, FEW, cnn)
    found = policy.gains(core.view(state))
    eye, whole = eye_sees(pictures, state.revealed, 64), torch.ones_like(state.revealed)
    goal = cnn.classify(cnn.begin(eye), whole)[0].double().softmax(-1)
    if agrees == "top":
        goal = nn.functional.one_hot(goal.argmax(-1), goal.shape[1]).double()
    now = (goal * state.logits.double().log_softmax(-1)).sum(-1)
    expected = policy.scores(core.view(state)) - now[:, None, None]
    assert (found.isfinite().sum((1, 2)) == 3).all()
    torch.testing.assert_close(found.nan_to_num(-9.0), expected.nan_to_num(neginf=-9.0))


def test_the_page_watches_it_on_pictures_without_a_label(sample: Any) -> None:
    builds = {"ahead": lambda grid: policies.create("lookahead", k=2, eye=64, grid=grid)}
    config = SaccadeConfig(max_saccades=2)
    studio = Studio(sample, {"small": small_cnn(classes=1000)}, builds, config)
    picture = studio.picture("images", 2, "small")._replace(label=None)
    seen = studio.run(Asked(picture, "small", ("ahead",), saccades=2), "ahead")
    assert (seen.sees, len(seen.states), seen.saliency) == ("64×64 pixels", 3, None)


@pytest.mark.slow
@pytest.mark.parametrize("eye", EYES)
def test_efficientnet_looks_ahead_on_photographs(eye: Any) -> None:
    judge = classifiers.create("efficientnet_lite0")
    source = images.create("sample")
    pictures, labels = images.load_batch(source, [1, 31])
    config = SaccadeConfig(max_saccades=4)
    policy = policies.create("lookahead", k=4, eye=eye)
    result = run(pictures, judge, policy, config, labels)
    assert result.correct[:, -1].all()
    state = begun(pictures, judge, config)
    core.reset_policy(policy, state, config, judge)
    scores = policy.scores(core.view(state))  # type: ignore[attr-defined]
    for row in (0, 1):
        hand = by_hand(pictures[row : row + 1], state.revealed[:1], judge, eye, "top", 4)
        for (r, c), score in hand.items():
            assert float(scores[row, r, c]) == pytest.approx(score, abs=1e-3)
