"""What a decision costs: counted by torch on one picture, told in forwards, and timed."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from rich.console import Console
from torch import Tensor
from torch.nn import functional as F

from saccade_env import classifiers, evaluation, images, policies
from saccade_env.classifiers.vit.dino import from_state_dicts
from saccade_env.config import SaccadeConfig
from saccade_env.core import View
from saccade_env.counting import flops
from saccade_env.evaluation import cost, report
from saccade_env.evaluation.plan import PLANNED, Plan, _hash
from saccade_env.evaluation.records import Part
from saccade_env.images import BrokenImageError
from saccade_env.images.derived import Derived, Subset

TASK = SaccadeConfig(max_saccades=3)
N = 196


class Corner:
    """Looks at the tokens of its script in turn, or as a new policy does."""

    name, sees_full_image = "corner", False

    def __init__(self, *script: int) -> None:
        self.script = script or (0, 7, 100)

    def reset(self, images: Tensor) -> None:
        """Nothing in the images changes where it looks."""

    def act(self, view: View) -> Tensor:
        done = view.saccades_done.clamp(max=len(self.script) - 1)
        return torch.tensor(self.script)[done]


class Whole(Corner):
    """Has the classifier look at whole images first, and expects less of every saccade."""

    name, sees_full_image = "whole", True

    def __init__(self, classifier: Any) -> None:
        super().__init__()
        self._classifier = classifier

    def reset(self, images: Tensor) -> None:
        everything = torch.ones(len(images), 14, 14, dtype=torch.bool)
        self._classifier.classify(self._classifier.begin(images), everything)

    def predicted_gain(self, view: View) -> Tensor:
        return 1 / (1 + view.saccades_done.float())


def dino() -> Any:
    from timm.models.vision_transformer import VisionTransformer

    network = VisionTransformer(patch_size=16, embed_dim=16, depth=4, num_heads=2)
    tensors = {k: v for k, v in network.state_dict().items() if not k.startswith("head")}
    head = {"linear.weight": torch.randn(1000, 64), "linear.bias": torch.zeros(1000)}
    return from_state_dicts(tensors, head, num_heads=2)


def evaluate(named: list[Any], source: Any, judge: Any, task: Any = TASK, **more: Any) -> Any:
    return evaluation.evaluate(named, source, judge, task, progress=False, **more)


@pytest.mark.parametrize("fused", [True, False])
def test_a_product_and_attention_are_two_operations_a_weight(fused: bool) -> None:
    q = torch.ones(1, 2, 5, 8, requires_grad=not fused)
    with flops() as counted:
        F.scaled_dot_product_attention(q, q, q)
        assert counted() == 2 * 2 * (2 * 5 * 5 * 8)
        torch.ones(3, 4) @ torch.ones(4, 5)
    assert counted() == 2 * 2 * (2 * 5 * 5 * 8) + 2 * 3 * 4 * 5


def test_what_onnx_runtime_computes_is_counted(sample: Any) -> None:
    """The convolutions of EfficientNet-Lite0 at 224 pixels are known: 0.385 G products."""
    pictures, labels = images.load_batch(sample, [0])
    fast, plain = (classifiers.create(f"efficientnet_lite0:onnx={on}") for on in ("true", "false"))
    whole = cost.whole_image(pictures, TASK, plain)
    assert whole == pytest.approx(2 * 0.385e9, rel=0.01)
    assert cost.whole_image(pictures, TASK, fast) == whole
    policy = policies.create("lookahead:k=2,eye=image")
    found = cost.Costs(whole, {"p": cost.measure(policy, pictures, labels, TASK, fast)})
    # One at the start, then two a saccade; class activation is a layer more.
    assert found.forwards("p") == pytest.approx([1, 3, 5, 7], abs=0.02)


def test_tokens_that_are_dropped_cost_nothing(sample: Any) -> None:
    judge = dino()
    pictures, labels = images.load_batch(sample, [0])
    found = cost.measure(Corner(), pictures, labels, TASK, judge)
    assert found.policy == [0, 0, 0, 0]
    begun, *after = found.classifier
    assert 0 < after[0] < after[1] < after[2] < cost.whole_image(pictures, TASK, judge) - begun


def test_kept_maps_are_paid_for(sample: Any, linear: Any, map_folder: Path) -> None:
    pictures, labels = images.load_batch(sample, [0])
    policy = policies.create("focus-saliency")
    policy.maps(pictures)
    assert list(map_folder.iterdir())
    reset, *later = cost.measure(policy, pictures, labels, TASK, linear).policy
    assert reset > 1e9
    assert later == [0, 0, 0]


def test_who_sees_the_whole_image_pays_for_it(sample: Any, linear: Any, tmp_path: Path) -> None:
    named = [Corner(), Whole(linear), policies.create("greedy-oracle", stride=7)]
    found = evaluate(named, sample, linear, out=tmp_path, batch_size=3)
    spent = found.records.groupby("policy")["forwards"].apply(lambda own: own[:3].tolist())
    assert spent["corner"] == [0, 0, 0]
    assert spent["whole"] == [1, 1, 1]
    assert spent["greedy-oracle"] == [4, 7, 9], "it tries those of four that are open"
    assert (found.records.groupby(["policy", "saccade"])["forwards"].nunique() == 1).all()
    told = found.summary["cost"]
    assert told["greedy-oracle"]["forwards"] == [4, 7, 9]
    assert told["whole"]["forwards_per_saccade"] == pytest.approx(1 / 3, abs=1e-4)
    whole = found.summary["full_image"]["flops"]
    assert whole == 2 * linear.matrix.numel()
    assert told["corner"]["classifier_flops"] == [whole, 2 * whole, 3 * whole]
    assert all(own["policy_ms"] > 0 and own["classifier_ms"] > 0 for own in told.values())
    shown = Console(width=80, record=True, file=io.StringIO())
    report.show(found.summary, shown)
    rows = [line.split() for line in shown.export_text().splitlines()]
    assert [row[-1] for row in rows if row and row[0] in spent] == ["0.00", "0.33", "3.00"]


def test_who_has_stopped_spends_no_more(sample: Any, linear: Any) -> None:
    class Asks(Whole):
        """Asks the classifier at every saccade, and stops one image after the first."""

        def act(self, view: View) -> Tensor:
            self.reset(self._images)
            first = torch.arange(len(view.certainty)) == 0
            stops = first & (view.saccades_done > 0) & (len(first) > 1)
            return torch.where(stops, N, super().act(view))

        def reset(self, images: Tensor) -> None:
            self._images = images
            super().reset(images)

    task = SaccadeConfig(max_saccades=3, stop_action=True)
    records = evaluate([Asks(linear)], Subset(sample, [0, 1]), linear, task).records
    assert (records["row"] < 0).tolist() == [False, True, True, False, False, False]
    assert records["forwards"].tolist() == [2, 3, 3, 2, 3, 4]


def test_a_picture_that_cannot_be_read_is_not_measured(sample: Any, linear: Any) -> None:
    class Broken(Derived):
        def __len__(self) -> int:
            return 3

        def __getitem__(self, i: int) -> Any:
            if i == 0:
                raise BrokenImageError("picture 0 is broken")
            return self._source[i]

        def id(self, i: int) -> str:
            return str(self._source.id(i))

    found = evaluate([Whole(linear)], Broken(sample), linear, on_error="skip")
    assert found.records["forwards"].tolist() == [1.0] * 6


def test_a_classifier_without_torch_has_no_unit(sample: Any, linear: Any, tmp_path: Path) -> None:
    class Counts(type(linear)):  # type: ignore[misc]
        def classify(self, memory: Any, revealed: Tensor) -> Any:
            logits = revealed.flatten(1).sum(1, keepdim=True).float().expand(-1, 1000)
            return logits.clone(), memory

    found = evaluate([Corner()], sample, Counts(num_classes=1000), out=tmp_path)
    assert found.records["forwards"].isna().all()
    assert found.summary["cost"]["corner"]["forwards_per_saccade"] is None
    assert not (tmp_path / "figures" / "cost.png").exists()


@pytest.mark.slow
def test_what_a_policy_predicts_is_kept(sample: Any, linear: Any, tmp_path: Path) -> None:
    named = [Corner(), Whole(linear)]
    for _ in ("made", "read again"):
        found = evaluate(named, sample, linear, out=tmp_path)
        gains = found.records.groupby("policy")["predicted_gain"].apply(list)
        assert gains["whole"] == pytest.approx([1, 1 / 2, 1 / 3] * 7)
        assert pd.Series(gains["corner"]).isna().all()
    assert list(found.summary["stopping"]["rules"]["predicted gain"]) == ["whole"]
    assert "predicted_gain" not in evaluate([Corner()], sample, linear).records


def test_older_records_have_no_cost(sample: Any, linear: Any) -> None:
    found = evaluate([Corner()], sample, linear)
    ids = [sample.id(i) for i in range(len(sample))]
    run = {k: v for k, v in found.summary.items() if k in ("config", "classifier", "images")}
    run |= {"policies": found.summary["policies"], PLANNED: _hash(ids, [])}
    old = Plan(run, ids, []).end([Part(found.records.drop(columns="forwards"))], None, [0.5], 1)
    assert old.summary["cost"] == {}
    assert old.summary["full_image"]["flops"] is None
    shown = Console(width=80, record=True, file=io.StringIO())
    report.show(old.summary, shown)
    assert "–" in shown.export_text()


def test_times_are_known_of_all_images_or_not_at_all(sample: Any, linear: Any) -> None:
    found = evaluate([Corner()], sample, linear)
    costs = cost.Costs(1, {"corner": cost.Cost([0] * 4, [1] * 4)})
    told = cost.summarise(found.records, costs, {"corner": [0.21, 0.42]}, {})["corner"]
    assert (told["policy_ms"], told["classifier_ms"]) == (10, 20), "21 saccades"
    told = cost.summarise(found.records, costs, {}, {"corner": told})["corner"]
    assert (told["policy_ms"], told["classifier_ms"]) == (10, 20), "as was said before"
    told = cost.summarise(found.records, costs, {}, {})["corner"]
    assert told["policy_ms"] is told["classifier_ms"] is None
