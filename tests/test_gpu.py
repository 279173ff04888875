"""On a GPU: what it computes is what the CPU computes, and a saccade hardly waits for it.

``pytest -m gpu -n 0 -s`` prints rates beside. Networks have random weights of real shapes.
"""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from saccade_env import SaccadeVectorEnv, bench, classifiers, cli, core, evaluate, images, policies
from saccade_env.agents import files
from saccade_env.cli import making
from saccade_env.config import SaccadeConfig
from saccade_env.images.patch_cache import PatchCache
from saccade_env.observe.compact import expand
from saccade_env.policies.unisal import UnisalPolicy
from saccade_env.policies.unisal_network import UNISAL

pytestmark = pytest.mark.gpu
TINY = "timm:deit_tiny_patch16_224,pretrained=false"
CLASSIFIERS = [
    TINY,
    f"{TINY},mode=kv_cache",
    "timm:eva02_tiny_patch14_224,pretrained=false,num_classes=10",
    "timm:vit_base_patch16_siglip_224,pretrained=false,num_classes=10",
    "timm:resnet18,pretrained=false",
    "efficientnet_lite0",
]
POLICIES = [
    "random", "centre", "gbvs", "attention:deit_tiny_patch16_224,pretrained=false",
    "rollout:deit_tiny_patch16_224,pretrained=false",
    "gradient:deit_tiny_patch16_224,pretrained=false",
    "attention:deit_tiny_patch16_224,pretrained=false,resolution=128",
    "greedy-oracle:stride=5", "unisal", *files.available(),
]  # fmt: skip


def policy(name: str, device: str) -> Any:
    """By name; UNISAL with random weights, always the same."""
    torch.manual_seed(0)
    if name == "unisal":
        return UnisalPolicy(network=UNISAL(), device=device)
    return making.find(name, 0, device)((14, 14))


def states(name: str, device: str) -> list[core.State]:
    """Five saccades of eight episodes, always the same."""
    judge = classifiers.create(name, device=device)
    source = images.create("sample")
    pixels, labels = images.load_batch(source, range(8))
    config = SaccadeConfig(grid=judge.grid, max_saccades=5)
    labels = labels.clamp(max=judge.num_classes - 1)
    found = [core.begin(pixels, labels, torch.arange(8), config, judge)]
    draw = torch.Generator().manual_seed(0)
    for _ in range(5):
        chosen = torch.randint(0, config.num_tokens, (8,), generator=draw)
        found.append(core.saccade(found[-1], chosen, config, judge)[0])
    return found


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_certainty_is_that_of_the_cpu(name: str) -> None:
    for here, there in zip(states(name, "cpu"), states(name, "cuda"), strict=True):
        torch.testing.assert_close(there.certainty, here.certainty, atol=1e-4, rtol=0)
        assert torch.equal(there.revealed, here.revealed)
        assert {t.device.type for t in there[1:]} == {"cpu"}


@pytest.mark.parametrize(("name", "near"), [(TINY, 1e-2), ("efficientnet_lite0", 1e-1)])
def test_bfloat16_is_near(name: str, near: float) -> None:
    joint = "," if name.startswith("timm") else ":"
    for here, there in zip(
        states(name, "cuda"), states(f"{name}{joint}autocast=bfloat16", "cuda"), strict=True
    ):
        torch.testing.assert_close(there.certainty, here.certainty, atol=near, rtol=0)


@pytest.mark.parametrize("name", POLICIES)
def test_policies_look_where_they_look_on_the_cpu(name: str) -> None:
    pixels, _ = images.load_batch(images.create("sample"), range(8))
    here, there = (policy(name, device) for device in ("cpu", "cuda"))
    if isinstance(here, core.HasMaps):
        one, other = here.maps(pixels), there.maps(pixels)
        scale = float(one.abs().max())
        torch.testing.assert_close(other, one, atol=1e-4 * scale, rtol=1e-3)
    runs = [
        evaluate([policy], "sample", TINY, SaccadeConfig(max_saccades=5), limit=16, device=device,
                 progress=False, check_labels=False).records
        for policy, device in ((here, "cpu"), (there, "cuda"))
    ]  # fmt: skip
    same = (runs[0][["row", "col"]] == runs[1][["row", "col"]]).to_numpy().all(1)
    assert same.mean() > 0.95  # near ties aside
    gap = np.abs(runs[0]["certainty"] - runs[1]["certainty"])[same]
    assert gap.max() < 1e-4


@pytest.mark.parametrize("name", [TINY, f"{TINY},mode=kv_cache", "efficientnet_lite0"])
def test_a_saccade_waits_at_most_twice(name: str) -> None:
    judge = classifiers.create(name, device="cuda")
    pixels, labels = images.load_batch(images.create("sample"), range(8))
    config = SaccadeConfig(grid=judge.grid, max_saccades=3)
    state = core.begin(pixels, labels, torch.arange(8), config, judge)
    state, _ = core.saccade(state, torch.arange(8), config, judge)
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            core.saccade(state, torch.arange(8) + 60, config, judge)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    waits = [str(w.message) for w in caught if "synchroniz" in str(w.message)]
    print(f"\n{name}: a saccade waits {len(waits)} times")
    assert len(waits) <= 2, waits


@pytest.mark.parametrize(
    "name",
    ["timm:vit_small_patch16_224,pretrained=false",
     "timm:vit_small_patch16_224,pretrained=false,mode=kv_cache",
     "timm:vit_small_patch16_224,pretrained=false,autocast=bfloat16", "efficientnet_lite0"],
)  # fmt: skip
def test_256_rows_side_by_side(name: str) -> None:
    judge = classifiers.create(name, device="cuda")
    env = SaccadeVectorEnv(256, images="sample", classifier=judge, max_saccades=10)
    env.reset(seed=0)
    draw = np.random.default_rng(0)
    spent = 0.0
    classify = judge.classify

    def timed(*given: Any) -> Any:
        nonlocal spent
        torch.cuda.synchronize()
        begin = time.perf_counter()
        found = classify(*given)
        torch.cuda.synchronize()
        spent += time.perf_counter() - begin
        return found

    for _ in range(10):
        env.step(draw.integers(0, 196, 256))
    begin = time.perf_counter()
    for _ in range(20):
        observation, reward, *_ = env.step(draw.integers(0, 196, 256))
    whole = time.perf_counter() - begin
    judge.classify = timed  # type: ignore[method-assign]
    begin = time.perf_counter()
    for _ in range(20):
        env.step(draw.integers(0, 196, 256))
    share = spent / (time.perf_counter() - begin)
    assert np.isfinite(reward).all()
    assert observation["tokens"].shape[0] == 256
    card = torch.cuda.get_device_name()
    print(f"\n{card}, {name}: {20 * 256 / whole:.0f} saccades/s, {share:.0%} of it in forwards")


@pytest.mark.parametrize(
    "command",
    [
        f"evaluate --images sample --limit 8 --saccades 2 --classifier {TINY} --policy centre "
        "--policy gbvs --no-gif --out OUT",
        f"record --images sample --classifier {TINY} --policy random --saccades 2 --out OUT.gif",
        "train --images sample --classifier efficientnet_lite0 --timesteps 64 --n-envs 4 --out OUT",
        f"paper --images sample --limit 4 --classifier {TINY} --policies random --policies centre "
        "--only 3 --out OUT",
        f"human LOOKS --images sample --classifier {TINY} --policy random --policy gbvs --out OUT",
        "train --images sample --classifier efficientnet_lite0 --timesteps 16 --n-envs 2 "
        "--eye image --eye-shows activation --eye-shows glimpses --eye-shows features "
        "--warm-start greedy-oracle --warm-start-steps 20 --out OUT",
        f"costs --classifier {TINY} --policy gbvs --batch-size 4",
    ],
    ids=["evaluate", "record", "train", "paper", "human", "imitate", "costs"],
)
def test_commands_run_there(command: str, tmp_path: Path) -> None:
    looks = tmp_path / "looks.csv"
    first = images.create("sample").id(0)
    looks.write_text("image,subject,order,x,y\n" + "".join(
        f"{first},{who},{order},{20 + 30 * order},112\n" for who in "ab" for order in range(3)
    ))  # fmt: skip
    command = command.replace("LOOKS", str(looks))
    call = [part.replace("OUT", str(tmp_path / "out")) for part in command.split()]
    result = CliRunner().invoke(cli.app, [*call, "--device", "cuda"])
    assert result.exit_code == 0, result.output


def test_the_benchmark_runs_there() -> None:
    plan = bench.Plan(2, 32, 4, 3, 3, (2, 4), "efficientnet_lite0", 1, 8, "cuda")
    for line in bench.measure(plan, progress=False):
        assert min(line.ratios) > 0
        print(f"\n{line.name}: {line.value:.2f}", end="")
    assert len(bench.cost_per_saccade(plan, None)) == 3


def test_evaluations_per_second() -> None:
    for name in ("timm:vit_small_patch16_224,pretrained=false", "efficientnet_lite0"):
        judge = classifiers.create(name, device="cuda")
        given = [policies.create("centre")], "sample", judge
        how: dict[str, Any] = {"progress": False, "check_labels": False, "batch_size": 34}
        evaluate(*given, **how)
        begin = time.perf_counter()
        evaluate(*given, **how)
        rate = 34 / (time.perf_counter() - begin)
        print(f"\n{torch.cuda.get_device_name()}, {name}: {rate:.1f} images/s, ten saccades each")


def test_compact_observations_are_expanded_there(sample: Any, linear: Any) -> None:
    env = SaccadeVectorEnv(4, sample, linear, observation="compact", workers=0)
    env.reset(seed=0)
    batch = {k: torch.from_numpy(v) for k, v in env.step(np.array([0, 60, 100, 195]))[0].items()}
    pictures = PatchCache(sample, 16, workers=0)
    for device in ("cuda", "cpu", "cuda"):  # what is kept moves along
        found = expand({k: v.to(device) for k, v in batch.items()}, pictures, env.config)
        whole = expand(batch, PatchCache(sample, 16, workers=0), env.config)
        for key, value in whole.items():
            assert found[key].device.type == device
            assert torch.equal(found[key].cpu(), value)
