"""Lines about stepping. Each function yields the ratios of one repeat at a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from saccade_env import SaccadeEnv, SaccadeVectorEnv, classifiers
from saccade_env.bench import subjects
from saccade_env.bench.subjects import Plan, Ratios, forwards, seconds
from saccade_env.classifiers import Classifier
from saccade_env.images import ImageSource, load_batch


def transformer(plan: Plan, images: str | None) -> Ratios:
    """ViT-S/16: the vector env against its bare forwards, naive loops and single envs."""
    source, cached = subjects.pictures(images), subjects.vit_small(plan.device)
    judge, on = cached.recomputing, plan.device
    actions = subjects.scanpaths(plan.rows, plan.saccades)
    half = actions[: len(actions) // 2]
    sets, few = subjects.token_sets(actions), slice(plan.loop_rows)
    loop_sets = [revealed[few] for revealed in sets]
    env, kv_env = (_vector(plan, source, one, plan.saccades) for one in (judge, cached))
    single = SyncVectorEnv(
        [lambda: SaccadeEnv(source, judge, max_saccades=plan.saccades)] * plan.rows,
        autoreset_mode=AutoresetMode.SAME_STEP,
    )
    pixels, share = env.images, plan.rows / plan.loop_rows
    _run(env, actions, on)
    _run(kv_env, actions, on)
    for _ in range(plan.repeats):
        ours = _run(env, actions, on)
        bare = seconds(forwards, judge, pixels, sets, device=on)
        naive = share * seconds(subjects.loop_sparse, judge, pixels[few], loop_sets, device=on)
        dense = share * seconds(subjects.loop_dense, judge, pixels[few], loop_sets, device=on)
        yield {
            "efficiency dino_vits16": bare / ours,
            "against naive": naive / ours,
            "against dense": dense / ours,
            "against dense, KV cache": dense / _run(kv_env, actions, on),
            "against SyncVectorEnv": _run(single, half, on) / _run(env, half, on),
        }


def cost_per_saccade(plan: Plan, images: str | None) -> list[dict[str, float]]:
    """ViT-S/16 at every saccade: tokens seen, and milliseconds an image in three ways.

    ``dense`` computes all tokens, ``recompute`` the revealed ones, ``kv_cache`` the new ones.
    """
    cached, count = subjects.vit_small(plan.device), max(1, plan.rows // 2)
    judge, on = cached.recomputing, plan.device
    sets = subjects.token_sets(subjects.scanpaths(count, plan.saccades))
    source = subjects.Repeated(subjects.pictures(images), count)
    pixels, _ = load_batch(source, range(count))
    everything = torch.ones_like(sets[0])
    times: list[list[list[float]]] = []  # of every run, by way and saccade
    for _ in range(plan.repeats + 1):
        begun, memory = judge.begin(pixels), cached.begin(pixels)

        def grow(revealed: torch.Tensor) -> None:
            nonlocal memory
            memory = cached.classify(memory, revealed)[1]

        dense = seconds(judge.classify, begun, everything, device=on)
        recompute = [seconds(judge.classify, begun, revealed, device=on) for revealed in sets]
        kv_cache = [seconds(grow, revealed, device=on) for revealed in sets]
        times.append([[dense] * len(sets), recompute, kv_cache])
    medians = 1000 / count * np.median(times[1:], axis=0)  # the first run warms up
    ways = ("dense", "recompute", "kv_cache")
    return [
        {
            "saccade": saccade + 1.0,
            "tokens": float(revealed.sum() / count),
            **dict(zip(ways, medians[:, saccade].tolist(), strict=True)),
        }
        for saccade, revealed in enumerate(sets)
    ]


def cnn(plan: Plan, images: str | None) -> Ratios:
    """EfficientNet-Lite0: the vector env against its bare forwards."""
    source, judge = subjects.pictures(images), subjects.lite0(plan.device)
    actions = subjects.scanpaths(plan.rows, plan.cnn_saccades)
    sets, env = subjects.token_sets(actions), _vector(plan, source, judge, plan.cnn_saccades)
    pixels = env.images
    _run(env, actions[:1], plan.device)
    for _ in range(plan.repeats):
        ours = _run(env, actions, plan.device)
        bare = seconds(forwards, judge, pixels, sets, device=plan.device)
        yield {"efficiency efficientnet_lite0": bare / ours}


def forward(plan: Plan, images: str | None) -> Ratios:
    """EfficientNet-Lite0 on the CPU: its forward against torch's, and ONNX Runtime's as it is."""
    source, count = subjects.Repeated(subjects.pictures(images), plan.rows), plan.rows
    judge: Any = classifiers.create("efficientnet_lite0")
    plain: Any = classifiers.create("efficientnet_lite0", onnx=False)
    revealed = subjects.token_sets(subjects.scanpaths(count, 1))[0]
    pixels, _ = load_batch(source, range(count))
    ours, eager = judge.begin(pixels), plain.begin(pixels)
    bare = subjects.onnx_runtime(plain.network, ours)
    ways: list[Callable[[], object]] = [
        lambda: judge.classify(ours, revealed), lambda: plain.classify(eager, revealed),
        *([bare] if bare else []),
    ]  # fmt: skip
    for way in ways:
        way()
    for _ in range(2 * plan.repeats + 1):
        times = []
        for way in ways:
            time.sleep(0.1)  # threads of the one before spin for a while
            times.append(seconds(way))
        taken, *others = times
        names = ("forward against eager", "forward")
        yield {name: other / taken for name, other in zip(names, others, strict=False)}


def machinery(plan: Plan, images: str | None) -> Ratios:
    """Steps per second without a classifier, against ap_gym's where it is installed."""
    source = subjects.Repeated(subjects.pictures(images), 64, decoded=True)
    env = _vector(plan, source, subjects.NullClassifier(), 10)
    actions, peer = subjects.scanpaths(plan.rows, 100), _peer(plan.rows)
    _run(env, actions)
    for _ in range(9):
        rate = actions.numel() / _run(env, actions)
        yield {"machinery, steps/s": rate} | ({"machinery": rate / peer()} if peer else {})


def sb3(plan: Plan, images: str | None) -> Ratios:
    """PPO collecting rollouts with a trivial network, against the same actions without it."""
    from saccade_env.agents.rollout_rate import ppo_collector

    source, judge = subjects.pictures(images), subjects.lite0(plan.device)
    env = _vector(plan, source, judge, plan.cnn_saccades)
    collect = ppo_collector(env, plan.cnn_saccades)
    for _ in range(plan.repeats):
        collected, actions = collect()
        yield {"SB3": _run(env, torch.from_numpy(actions), plan.device) / collected}


def _vector(plan: Plan, source: ImageSource, judge: Classifier, saccades: int) -> SaccadeVectorEnv:
    env = SaccadeVectorEnv(plan.rows, images=source, classifier=judge, max_saccades=saccades)
    env.reset(seed=0)
    return env


def _run(env: Any, actions: torch.Tensor, device: str = "cpu") -> float:
    """Time of the steps from the first pictures on; the last one begins the next episodes."""
    env.reset(seed=0)
    return seconds(lambda: [env.step(step) for step in actions.numpy()], device=device)


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
