"""The benchmark: its loops do what they claim, its table holds what the issue of speed asks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from saccade_env import bench, cli
from saccade_env.bench import subjects
from saccade_env.classifiers.vit.dino import from_state_dicts
from saccade_env.cli.bench import cost_table, lines_table

TINY = bench.Plan(
    repeats=1, rows=2, loop_rows=1, saccades=2, cnn_saccades=2, growth=(2, 4),
    growth_classifier="null", growth_repeats=1, fed=2,
)  # fmt: skip


def test_targets_decide_what_is_met() -> None:
    least = bench.Line("a", "", 2.0, True, (1.0, 2.5, 3.0))
    most = bench.Line("b", "", 1.1, False, (1.2, 1.0, 1.3))
    plain = bench.Line("c", "", None, True, (5.0,))
    assert (least.value, least.met, most.met, plain.met) == (2.5, True, False, None)
    found = bench.as_json([least, most])
    assert found["a"] == {
        "value": 2.5, "target": 2.0, "met": True, "min": 1.0, "median": 2.5, "max": 3.0
    }  # fmt: skip
    assert json.loads(json.dumps(found)) == found
    assert lines_table([least, most, plain]).row_count == 3


def test_the_loops_compute_what_the_environment_does(monkeypatch: Any) -> None:
    """All three ways end in the same logits: what is compared is the same work."""
    from timm.models.vision_transformer import VisionTransformer

    torch.manual_seed(0)
    network = VisionTransformer(patch_size=16, embed_dim=64, depth=4, num_heads=1, num_classes=0)
    head = {"linear.weight": torch.randn(9, 256), "linear.bias": torch.zeros(9)}
    judge = from_state_dicts(network.state_dict(), head)
    pixels = torch.randint(0, 256, (3, 3, 224, 224), dtype=torch.uint8)
    sets = subjects.token_sets(subjects.scanpaths(3, 4))
    logits: list[torch.Tensor] = []
    judge.head.linear.register_forward_hook(lambda module, inputs, output: logits.append(output))
    subjects.loop_sparse(judge, pixels, sets)
    subjects.loop_dense(judge, pixels, sets)
    memory = judge.begin(pixels)
    together = [judge.classify(memory, revealed)[0] for revealed in sets]
    for row in range(3):
        for saccade in range(4):
            for loop in (0, 12):
                one = logits[loop + 4 * row + saccade][0]
                torch.testing.assert_close(one, together[saccade][row], atol=1e-3, rtol=0)


def test_a_repeated_source_keeps_its_promises(sample: Any) -> None:
    for decoded in (False, True):
        source = subjects.Repeated(sample, 20, decoded)
        assert len({source[i].id for i in range(20)}) == 20
        assert source[9].id == source.id(9)
        assert torch.equal(source[9].image, sample[2].image)


@pytest.mark.slow
def test_a_tiny_run_measures_every_line() -> None:
    found = list(bench.measure(TINY, progress=False))
    names = [line.name for line in found]
    lacking = {line.name for line in bench.LINES} - set(names)
    assert lacking <= {"machinery", "RLlib", "Ray"}, "which need ap_gym and Ray"
    assert names == [line.name for line in bench.LINES if line.name not in lacking]
    assert "ray" not in sys.modules, "it has a process of its own"
    assert all(ratio > 0 for line in found for ratio in line.ratios)
    rows = bench.cost_per_saccade(TINY, None)
    assert [row["saccade"] for row in rows] == [1, 2]
    assert cost_table(rows).row_count == 2


@pytest.mark.slow
def test_importing_the_package_does_not_import_the_benchmark() -> None:
    script = "import saccade_env, sys; print('saccade_env.bench' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr


@pytest.mark.parametrize("name", ["taken", "a-file/table.json"])
def test_a_table_that_cannot_be_written_is_known_before_the_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(bench, "measure", None)
    (tmp_path / "a-file").touch()
    (tmp_path / "taken").mkdir()
    done = CliRunner().invoke(cli.app, ["bench", "--quick", "--json", str(tmp_path / name)])
    assert done.exit_code == 1
    assert f"cannot write {tmp_path / name}" in done.output.replace("\n", "")
