"""Lines about stepping. Each function yields the ratios of one repeat at a time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from saccade_env import SaccadeEnv, SaccadeVectorEnv, classifiers
from saccade_env.bench import subjects
from saccade_env.bench.subjects import seconds
from saccade_env.classifiers.dino.classifier import DinoClassifier
from saccade_env.images import load_batch

if TYPE_CHECKING:
    from saccade_env.bench.lines import Plan

Ratios = Iterator[dict[str, float]]


def transformer(plan: Plan, images: str | None) -> Ratios:
    """ViT-S/16: the vector env against its bare forwards, naive loops and single envs."""
    source, judge = subjects.pictures(images), subjects.vit_small()
    cached = DinoClassifier(judge.network, judge.head, name=judge.name, mode="kv_cache")
    actions = subjects.scanpaths(plan.rows, plan.saccades)
    sets, few = subjects.token_sets(actions), slice(plan.loop_rows)
    loop_sets = [revealed[few] for revealed in sets]
    env, kv_env = (_vector(plan, source, one, plan.saccades) for one in (judge, cached))
    single = SyncVectorEnv(
        [lambda: SaccadeEnv(source, judge, max_saccades=plan.saccades)] * plan.rows,
        autoreset_mode=AutoresetMode.SAME_STEP,
    )
    share = plan.rows / plan.loop_rows
    for _ in _warm(plan.repeats, lambda: _run(env, actions), lambda: _run(kv_env, actions)):
        pixels = _start(env)
        ours = _run(env, actions)
        bare = seconds(_bare, judge, pixels, sets)
        naive = share * seconds(subjects.loop_sparse, judge, pixels[few], loop_sets)
        dense = share * seconds(subjects.loop_dense, judge, pixels[few], loop_sets)
        _start(kv_env)
        kv = _run(kv_env, actions)
        _start(env)
        half = _run(env, actions[: len(actions) // 2])
        single.reset(seed=0)
        yield {
            "efficiency dino_vits16": bare / ours,
            "against naive": naive / ours,
            "against dense": dense / ours,
            "against dense, KV cache": dense / kv,
            "against SyncVectorEnv": _run(single, actions[: len(actions) // 2]) / half,
        }


def cost_per_saccade(plan: Plan, images: str | None) -> list[dict[str, float]]:
    """ViT-S/16 at every saccade: tokens seen, and milliseconds an image in three ways.

    ``dense`` computes all tokens, ``recompute`` the revealed ones, ``kv_cache`` the new ones.
    """
    judge = subjects.vit_small()
    cached = DinoClassifier(judge.network, judge.head, name=judge.name, mode="kv_cache")
    count = max(1, plan.rows // 2)
    sets = subjects.token_sets(subjects.scanpaths(count, plan.saccades))
    source = subjects.Repeated(subjects.pictures(images), count)
    pixels, _ = load_batch(source, range(count))
    everything, rows = torch.ones_like(sets[0]), []
    times: dict[str, list[list[float]]] = {"dense": [], "recompute": [], "kv_cache": []}
    for _ in range(plan.repeats + 1):  # the first one warms up
        begun = judge.begin(pixels)
        times["dense"].append([seconds(judge.classify, begun, everything)] * len(sets))
        times["recompute"].append([seconds(judge.classify, begun, r) for r in sets])
        memory, kv = cached.begin(pixels), []
        for revealed in sets:
            start = time.perf_counter()
            _, memory = cached.classify(memory, revealed)
            kv.append(time.perf_counter() - start)
        times["kv_cache"].append(kv)
    for saccade, revealed in enumerate(sets):
        row = {"saccade": saccade + 1.0, "tokens": float(revealed.sum() / count)}
        for way, found in times.items():
            row[way] = 1000 / count * statistics.median(run[saccade] for run in found[1:])
        rows.append(row)
    return rows


def cnn(plan: Plan, images: str | None) -> Ratios:
    """EfficientNet-Lite0: the vector env against its bare forwards."""
    source, judge = subjects.pictures(images), classifiers.create("efficientnet_lite0")
    actions = subjects.scanpaths(plan.rows, plan.cnn_saccades)
    sets, env = subjects.token_sets(actions), _vector(plan, source, judge, plan.cnn_saccades)
    for _ in _warm(plan.repeats, lambda: _run(env, actions[:1])):
        pixels = _start(env)
        ours = _run(env, actions)
        bare = seconds(_bare, judge, pixels, sets)
        yield {"efficiency efficientnet_lite0": bare / ours}


def machinery(plan: Plan, images: str | None) -> Ratios:
    """Steps per second without a classifier, against ap_gym's where it is installed."""
    source = subjects.Repeated(subjects.pictures(images), 64, decoded=True)
    env = _vector(plan, source, subjects.NullClassifier(), 10)
    actions = subjects.scanpaths(plan.rows, 100)
    peer = _peer(plan.rows)
    for _ in _warm(9, lambda: _run(env, actions)):
        _start(env)
        rate = actions.numel() / _run(env, actions)
        ratios = {"machinery, steps/s": rate}
        if peer is not None:
            ratios["machinery"] = rate / peer()
        yield ratios


def sb3(plan: Plan, images: str | None, collector: Callable[..., Any]) -> Ratios:
    """PPO collecting rollouts with a trivial network, against the same actions without it."""
    source, judge = subjects.pictures(images), classifiers.create("efficientnet_lite0")
    env = _vector(plan, source, judge, plan.cnn_saccades)
    collect = collector(env, plan.cnn_saccades)
    for _ in range(plan.repeats):
        collected, actions = collect()
        _start(env)
        yield {"SB3": _run(env, torch.from_numpy(actions)) / collected}


def _vector(plan: Plan, source: Any, judge: Any, saccades: int) -> SaccadeVectorEnv:
    env = SaccadeVectorEnv(plan.rows, images=source, classifier=judge, max_saccades=saccades)
    env.reset(seed=0)
    return env


def _start(env: SaccadeVectorEnv) -> torch.Tensor:
    env.reset(seed=0)
    return env.images


def _run(env: Any, actions: torch.Tensor) -> float:
    """Time of the steps; the last one begins the next episodes."""
    steps = actions.numpy()
    return seconds(lambda: [env.step(step) for step in steps])


def _bare(judge: Any, pixels: torch.Tensor, sets: list[torch.Tensor]) -> None:
    memory = judge.begin(pixels)
    for revealed in sets:
        judge.classify(memory, revealed)


def _warm(repeats: int, *runs: Callable[[], object]) -> range:
    for run in runs:
        run()
    return range(repeats)


def _peer(rows: int) -> Callable[[], float] | None:
    """Steps per second of ap_gym's cheapest classification task."""
    try:
        import ap_gym
    except ImportError:
        return None
    env = ap_gym.make_vec("CircleSquare-v0", num_envs=rows)
    env.reset(seed=0)
    actions = [env.action_space.sample() for _ in range(100)]
    return lambda: rows * len(actions) / seconds(lambda: [env.step(a) for a in actions])
