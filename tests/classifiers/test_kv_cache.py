"""The KV cache against recomputing, and against a forward written out with a mask."""

from __future__ import annotations

import pickle
from itertools import pairwise
from typing import Any

import pytest
import torch
from jaxtyping import TypeCheckError

from saccade_env import classifiers, core, geometry, rows
from saccade_env.classifiers.vit import packing
from saccade_env.classifiers.vit.dino import from_state_dicts
from saccade_env.config import SaccadeConfig

TOKENS = 196


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    from timm.models.vision_transformer import VisionTransformer

    torch.manual_seed(0)
    network = VisionTransformer(patch_size=16, embed_dim=64, depth=4, num_heads=2, num_classes=0)
    for name, parameter in network.named_parameters():  # attention that is far from uniform
        torch.nn.init.normal_(parameter, std=0.4 if "qkv" in name else 0.12)
    return network.state_dict()


@pytest.fixture(params=[256, 128], ids=["last-4", "interleaved"])
def build(request: Any, weights: Any) -> Any:
    generator = torch.Generator().manual_seed(0)
    head = {
        "linear.weight": torch.randn(10, request.param, generator=generator),
        "linear.bias": torch.zeros(10),
    }
    return lambda **keywords: from_state_dicts(weights, head, num_heads=2, **keywords)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (5, 3, 224, 224), generator=generator, dtype=torch.uint8)


def scanpath(saccades: int, batch: int = 5, seed: int = 2) -> list[torch.Tensor]:
    """What is revealed after each of random saccades."""
    generator = torch.Generator().manual_seed(seed)
    windows = geometry.fovea_windows((14, 14), 3, torch.device("cpu"))
    fixations = torch.randint(TOKENS, (saccades, batch), generator=generator)
    revealed = [windows[fixations[0]]]
    for fixation in fixations[1:]:
        revealed.append(revealed[-1] | windows[fixation])
    return revealed


def follow(classifier: Any, images: Any, path: list[torch.Tensor]) -> list[torch.Tensor]:
    memory, found = classifier.begin(images), []
    for revealed in path:
        logits, memory = classifier.classify(memory, revealed)
        found.append(logits)
    return found


def test_all_tokens_in_one_saccade_equal_the_dense_forward(build: Any, images: Any) -> None:
    everything = [torch.ones(5, 14, 14, dtype=torch.bool)]
    dense = follow(build(), images, everything)[0]
    cached = follow(build(mode="kv_cache"), images, everything)[0]
    torch.testing.assert_close(cached, dense, atol=1e-4, rtol=0)
    assert dense.std(0).max() > 0.01, "the images make a difference"


def test_refreshing_at_every_saccade_equals_recomputing(build: Any, images: Any) -> None:
    path = scanpath(6)
    exact = follow(build(), images, path)
    refreshed = follow(build(mode="kv_cache", refresh_every=1), images, path)
    cached = follow(build(mode="kv_cache"), images, path)
    torch.testing.assert_close(refreshed, exact, atol=1e-4, rtol=0)
    torch.testing.assert_close(cached[0], exact[0], atol=1e-4, rtol=0)
    assert (cached[-1] - exact[-1]).abs().max() > 1e-2, "another model, beyond the first saccade"


def test_refreshing_now_and_then_recomputes_then(build: Any, images: Any) -> None:
    path = scanpath(5)
    exact = follow(build(), images, path)
    found = follow(build(mode="kv_cache", refresh_every=2), images, path)
    gaps = [float((a - b).abs().max()) for a, b in zip(exact, found, strict=True)]
    assert max(gaps[0], gaps[2], gaps[4]) < 1e-4 < 1e-2 < min(gaps[1], gaps[3])


def test_the_cache_is_attention_with_a_mask(weights: Any, images: Any) -> None:
    """An independent oracle: all tokens at once, each blind to those that came after it."""
    head = {"linear.weight": torch.eye(256), "linear.bias": torch.zeros(256)}
    classifier = from_state_dicts(weights, head, num_heads=2, mode="kv_cache")
    path = scanpath(4, batch=1)
    found = follow(classifier, images[:1], path)[-1]
    time = torch.full((TOKENS,), len(path))
    for saccade, revealed in reversed(list(enumerate(path))):
        time[revealed.flatten()] = saccade
    places = (time < len(path)).nonzero().flatten()
    # A patch of saccade s met the [CLS] of saccade s: there is one [CLS] for each saccade.
    tokens = classifier.network.tokens(images[:1])
    tokens = torch.cat((tokens[:, :1].expand(-1, len(path), -1), tokens[:, places + 1]), 1)
    times = torch.cat((torch.arange(len(path)), time[places]))
    sees_cls = torch.arange(len(path)) == times[:, None]
    mask = torch.cat((sees_cls, times[len(path) :] <= times[:, None]), 1)
    classes = []
    for block in classifier.network.blocks:
        tokens = block(tokens, attn_mask=mask[None, None])
        classes.append(tokens[:, len(path) - 1])
    expected = classifier.network.backbone.norm(torch.stack(classes, 1)).flatten(1)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_rows_at_different_saccades_share_a_batch(build: Any, images: Any) -> None:
    """A row that starts anew in a batch goes on as it would alone, and so do the others."""
    classifier, path, other = build(mode="kv_cache"), scanpath(5), scanpath(5, seed=9)
    memory = classifier.begin(images)
    for revealed in path[:2]:
        _, memory = classifier.classify(memory, revealed)
    fresh = classifier.begin(images[:2].flip(-1))
    memory = rows.replace_rows(memory, torch.tensor([1, 3]), fresh)
    found = []
    for step in range(3):
        revealed = path[step + 2].clone()
        revealed[[1, 3]] = other[step][:2]
        logits, memory = classifier.classify(memory, revealed)
        found.append(logits)
    alone = follow(classifier, images, path)[2:]
    restarted = follow(classifier, images[:2].flip(-1), [revealed[:2] for revealed in other[:3]])
    for step in range(3):
        kept = [0, 2, 4]
        torch.testing.assert_close(found[step][kept], alone[step][kept], atol=1e-4, rtol=0)
        torch.testing.assert_close(found[step][[1, 3]], restarted[step], atol=1e-4, rtol=0)


def test_only_new_tokens_and_cls_are_computed(build: Any, images: Any) -> None:
    classifier, sizes = build(mode="kv_cache"), []
    mlp = classifier.network.blocks[0].mlp
    handle = mlp.register_forward_pre_hook(lambda module, inputs: sizes.append(inputs[0].shape[1]))
    path = scanpath(3)
    follow(classifier, images, [*path, path[-1]])
    handle.remove()
    seen = [0, *(int(revealed.sum()) for revealed in path)]
    assert sizes == [*(5 + after - before for before, after in pairwise(seen)), 5]


def test_a_spent_memory_is_refused_and_a_copy_is_not(build: Any, images: Any) -> None:
    classifier, path = build(mode="kv_cache"), scanpath(3)
    start = classifier.begin(images)
    first, memory = classifier.classify(start, path[0])
    again, _ = classifier.classify(start, path[0])
    assert torch.equal(first, again), "a memory that has just begun starts any number of episodes"
    twin = rows.take_rows(memory, torch.arange(5))
    onward, _ = classifier.classify(memory, path[1])
    with pytest.raises(RuntimeError, match="spent"):
        classifier.classify(memory, path[1])
    torch.testing.assert_close(classifier.classify(twin, path[1])[0], onward)


def test_a_token_that_is_hidden_again_is_forgotten(build: Any, images: Any) -> None:
    classifier, path = build(mode="kv_cache"), scanpath(3)
    _, memory = classifier.classify(classifier.begin(images), path[2])
    found, _ = classifier.classify(memory, path[0])
    torch.testing.assert_close(found, follow(build(), images, path[:1])[0], atol=1e-4, rtol=0)


def test_the_core_needs_no_change_for_it(build: Any, images: Any) -> None:
    """Two policies from one begun memory, as the evaluator has it, and one without the cache."""
    classifier = build(mode="kv_cache", refresh_every=1)
    config = SaccadeConfig(classifier.grid, max_saccades=3)
    found = []
    for judge in (classifier, classifier, classifier.recomputing):
        state = core.begin(images, torch.zeros(5).long(), torch.arange(5), config, judge)
        for step in range(3):
            fixation = torch.tensor([20, 40, 60, 80, 100]) + 7 * step
            state, _ = core.saccade(state, fixation, config, judge)
        found.append(state.logits)
    torch.testing.assert_close(found[0], found[1])
    torch.testing.assert_close(found[0], found[2], atol=1e-4, rtol=0)


def test_packing_keeps_order_and_pads_only_attention() -> None:
    tokens = torch.arange(10.0).reshape(2, 5, 1)
    chosen = torch.tensor([[False, True, False, True], [False, False, True, False]])
    known, cpu = torch.tensor([0, 2]), torch.device("cpu")
    layout = packing.lay_out(chosen, known, prefix=1, slots=6, device=cpu)
    assert layout.keys.tolist() == [0, 1, 2, 6, 9], "behind the prefix and what is known"
    assert layout.held.tolist() == [[True, True, True, False], [True] * 4]
    packed = tokens[layout.row, layout.token]
    assert packed[:, 0].tolist() == [0, 2, 4, 5, 8]
    assert layout.pad(packed)[..., 0].tolist() == [[0, 2, 4], [5, 8, 0]]
    assert torch.equal(layout.unpad(layout.pad(packed)), packed)
    assert layout.first.tolist() == [0, 3]


def test_another_grid_is_refused(build: Any) -> None:
    judge = build()
    memory = judge.begin(torch.zeros(1, 3, *judge.image_size, dtype=torch.uint8))
    with pytest.raises(ValueError, match="patches, but a grid of"):
        judge.classify(memory, torch.ones(1, 1, 3, dtype=torch.bool))


def test_modes_are_checked(build: Any) -> None:
    with pytest.raises(ValueError, match="Did you mean 'kv_cache'"):
        build(mode="kvcache")
    for wrong in (2, -1, 1.5, "two"):
        with pytest.raises((ValueError, TypeCheckError), match="refresh_every"):
            build(refresh_every=wrong)
    with pytest.raises(ValueError, match="'efficientnet_lite0' always recomputes"):
        classifiers.create("efficientnet_lite0:mode=kv_cache")
    assert classifiers.create("efficientnet_lite0:mode=recompute").name == "efficientnet_lite0"


def test_a_memory_can_be_pickled(build: Any, images: Any) -> None:
    classifier, path = build(mode="kv_cache"), scanpath(2)
    _, memory = classifier.classify(classifier.begin(images), path[0])
    twin = pickle.loads(pickle.dumps(memory))
    onward, _ = classifier.classify(memory, path[1])
    torch.testing.assert_close(classifier.classify(twin, path[1])[0], onward)
