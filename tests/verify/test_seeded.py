"""Numbers drawn from seeds: these and no others, wherever and in whatever order they are drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from saccade_env.verify import seeded


@pytest.mark.parametrize(
    ("name", "shape", "mean", "deviation"),
    [
        ("blocks.0.mlp.fc1.weight", (256, 100), 0, 0.15),
        ("blocks.0.norm1.weight", (9999,), 1, 0.1),
        ("blocks.0.mlp.fc1.bias", (9999,), 0, 0.1),
        ("pos_embed", (1, 100, 100), 0, 0.5),
        ("bn.running_mean", (9999,), 0, 0.1),
        ("bn.running_var", (9999,), 1.08, 0.06),
    ],
)
def test_scale_follows_from_the_name(
    name: str, shape: tuple[int, ...], mean: float, deviation: float
) -> None:
    drawn = seeded.tensor(name, shape)
    assert (drawn.shape, drawn.dtype) == (shape, torch.float32)
    assert drawn.mean().item() == pytest.approx(mean, abs=0.02)
    assert drawn.std().item() == pytest.approx(deviation, rel=0.05)


def test_smoothing_is_a_blur_and_counts_are_zero() -> None:
    blur = seeded.tensor("smoothing_dhf1k.weight", (1, 1, 41, 41))
    assert blur.min() >= 0
    assert blur.sum().item() == pytest.approx(1)
    assert seeded.tensor("bn.num_batches_tracked", ()).dtype == torch.int64


def test_names_alone_tell_weights_apart() -> None:
    drawn = seeded.state_dict({name: torch.empty(3, 3, device="meta") for name in "ab"}, "x.")
    assert torch.equal(drawn["b"], seeded.tensor("x.b", (3, 3)))
    assert not torch.equal(drawn["a"], drawn["b"])


def test_pictures_and_foveas_are_frozen() -> None:
    picture, seen = seeded.picture(224, 384), seeded.revealed(14, 14)
    assert (picture.shape, picture.dtype) == ((3, 224, 384), torch.uint8)
    assert picture[:, 0, 0].tolist() == [141, 123, 98]
    assert (picture[:, 7, 7] - picture[:, 0, 0]).tolist() == [1, 1, 1], "the ramp"
    assert picture.float().mean().item() == pytest.approx(126.39968, abs=1e-4)
    assert torch.equal(seen, seeded.revealed(14, 14))
    assert seen.sum() == 31


def test_no_other_random_stream_is_touched() -> None:
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    before = np.random.get_state()[1].tolist(), torch.get_rng_state()  # noqa: NPY002
    seeded.tensor("a", (3,)), seeded.picture(8, 8), seeded.revealed(5, 5)
    assert before[0] == np.random.get_state()[1].tolist()  # noqa: NPY002
    assert torch.equal(before[1], torch.get_rng_state())
