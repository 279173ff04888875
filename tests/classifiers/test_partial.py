"""The classifier that is used to seeing little, on pictures that it was not made on."""

from __future__ import annotations

import argparse
import runpy
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from saccade_env import classifiers, geometry, images
from saccade_env.classifiers import cnn
from saccade_env.classifiers.weights import WeightsError

PLAIN, PARTIAL = "efficientnet_lite0", "efficientnet_lite0_partial"


def test_it_answers_to_parts_more_like_the_plain_one_to_the_whole() -> None:
    plain, partial = classifiers.create(PLAIN), classifiers.create(PARTIAL)
    source = images.create("sample")
    pictures = torch.stack([source[i].image for i in range(24)])
    draw = torch.Generator().manual_seed(0)
    table = geometry.fovea_windows(plain.grid, 3, torch.device("cpu"))
    revealed = table[torch.randint(0, 196, (24, 6), generator=draw)].any(1)
    whole = torch.ones_like(revealed)

    def answers(judge: classifiers.Classifier, seen: torch.Tensor) -> torch.Tensor:
        return judge.classify(judge.begin(pictures), seen)[0].log_softmax(-1)

    wanted = answers(plain, whole)
    apart = [
        float(F.kl_div(answers(judge, revealed), wanted, reduction="batchmean", log_target=True))
        for judge in (plain, partial)
    ]
    assert apart[1] < 0.8 * apart[0]
    same = answers(partial, whole).argmax(-1) == wanted.argmax(-1)
    assert same.float().mean() > 0.8, "whole pictures are seen as before"


def test_its_weights_are_told_and_those_of_the_plain_one_stay() -> None:
    before = {k: v.clone() for k, v in classifiers.create(PLAIN).network.state_dict().items()}
    partial = classifiers.create(PARTIAL)
    assert partial.name == PARTIAL
    assert "changed by" in partial.weights.source
    assert partial.weights.sha256 != classifiers.create(PLAIN).weights.sha256
    after = classifiers.create(PLAIN).network.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_a_damaged_change_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    damaged = bytearray(cnn._PARTIAL.read_bytes())
    damaged[-1] ^= 1
    file = tmp_path / "change.safetensors"
    for content in (damaged, b""):
        file.write_bytes(content)
        monkeypatch.setattr(cnn, "_PARTIAL", file)
        with pytest.raises(WeightsError, match="missing or damaged"):
            classifiers.create(PARTIAL)


def test_what_is_kept_of_a_change_is_what_is_loaded(tmp_path: Path) -> None:
    example = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "distil.py"))
    before = {"a.weight": torch.randn(5, 4, 3, 3), "a.bias": torch.randn(5), "count": torch.ones(1)}
    after = {key: value + 0.01 * torch.randn_like(value) for key, value in before.items()}
    kept = example["change"](
        {**before, "same": torch.ones(3)}, {**after, "same": torch.ones(3)}, 0.5
    )
    assert "same" not in kept
    for key in ("a.weight", "a.bias"):
        found = before[key] + kept[key] * kept[f"{key}.unit"]
        wanted = before[key] + 0.5 * (after[key] - before[key])
        torch.testing.assert_close(found, wanted, atol=2e-4, rtol=0)


@pytest.mark.slow
def test_distilling_lowers_what_it_minimises() -> None:
    example = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "distil.py"))
    plain, source = classifiers.create(PLAIN), images.create("sample")
    options = argparse.Namespace(batch_size=16, learning_rate=5e-5, epochs=4)
    torch.manual_seed(0)
    network = example["distil"](plain, source, options)
    assert any(
        not torch.equal(a, b)
        for a, b in zip(network.parameters(), plain.network.parameters(), strict=True)
    )
    pictures = torch.stack([source[i].image for i in range(16)])
    logits, maps = example["logits_and_activation"](plain, pictures)
    draw = torch.Generator().manual_seed(1)
    parts = torch.cat([example["partial"](plain, pictures, maps, draw) for _ in range(3)])
    wanted = logits.softmax(-1).repeat(3, 1)
    with torch.no_grad():
        apart = [
            float(F.kl_div(one(parts).log_softmax(-1), wanted, reduction="batchmean"))
            for one in (plain.network, network)
        ]
    assert apart[1] < apart[0]
