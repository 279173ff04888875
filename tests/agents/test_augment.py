"""Pictures to learn from: parts and crops depend on nothing but seed and index."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from saccade_env import SaccadeVectorEnv
from saccade_env.agents.augment import Augmented, crop_box, split
from saccade_env.images import ImageSource
from saccade_env.images.derived import Subset
from saccade_env.testing import check_image_source


def test_crops_depend_on_seed_and_index_alone(sample: Any) -> None:
    source, again, other = (Augmented(sample, seed, copies=3) for seed in (0, 0, 1))
    assert len(source) == 21
    order = np.random.default_rng(0).permutation(21).tolist()
    with ThreadPoolExecutor(4) as pool:
        read = dict(zip(order, pool.map(again.__getitem__, order), strict=True))
    for index in range(21):
        picture = source[index]
        assert torch.equal(picture.image, read[index].image)
        assert picture.label == sample[index % 7].label
        assert picture.image.shape == sample[0].image.shape
        assert picture.image.dtype == torch.uint8
        assert picture.id == source.id(index) == f"{sample.id(index % 7)}#{index // 7}"
    assert not torch.equal(source[0].image, source[7].image)
    assert not torch.equal(source[0].image, other[0].image)
    assert torch.equal(source[-1].image, source[20].image)
    assert len({source.identity, other.identity, sample.identity}) == 3
    with pytest.raises(IndexError):
        source[21]


def test_a_whole_crop_is_the_picture_or_its_mirror(
    sample: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("saccade_env.agents.augment.crop_box", lambda *_: (0, 0, 224, 224))
    source = Augmented(sample, 0, copies=4)
    flipped = []
    for index in range(len(source)):
        image, whole = source[index].image, sample[index % 7].image
        flipped.append(torch.equal(image, whole.flip(-1)))
        assert flipped[-1] or torch.equal(image, whole)
    assert 0 < sum(flipped) < len(flipped)


@given(st.integers(0, 10**6), st.tuples(st.integers(1, 300), st.integers(1, 300)))
def test_crops_lie_within_the_picture(seed: int, size: tuple[int, int]) -> None:
    top, left, height, width = crop_box(size, 0.4, np.random.default_rng(seed))
    assert top >= 0 <= left
    assert 1 <= height <= size[0] - top
    assert 1 <= width <= size[1] - left
    if min(size) >= 50:
        assert height * width > 0.3 * size[0] * size[1]


def test_split_is_a_partition_drawn_by_the_seed(sample: Any) -> None:
    learnt, held = split(sample, 0.3, seed=2)
    assert isinstance(learnt, ImageSource)
    assert (len(learnt), len(held)) == (5, 2)
    ids = [part.id(i) for part in (learnt, held) for i in range(len(part))]
    assert sorted(ids) == sorted(sample.id(i) for i in range(7))
    assert split(sample, 0.3, seed=2)[1].identity == held.identity
    assert any(split(sample, 0.3, seed=s)[1].identity != held.identity for s in (3, 4, 5))
    assert len(split(sample, 0.001, seed=0)[1]) == 1
    assert len(split(sample, 0.999, seed=0)[0]) == 1
    with pytest.raises(ValueError, match="1 pictures, and none can be held back"):
        split(Subset(sample, [3]), 0.5, seed=0)
    with pytest.raises(ValueError, match="got 0 and 0.4"):
        Augmented(sample, 0, copies=0)


def test_it_keeps_the_contract_of_sources(sample: Any) -> None:
    check_image_source(sample)
    check_image_source(Augmented(Subset(sample, [2, 4]), 0))


def test_an_environment_takes_them(sample: Any, linear: Any) -> None:
    env = SaccadeVectorEnv(2, images=Augmented(Subset(sample, [2]), 0), classifier=linear)
    _, infos = env.reset(seed=0)
    assert infos["label"].tolist() == [sample[2].label] * 2
    images = env.images
    assert not torch.equal(images[0], images[1])
