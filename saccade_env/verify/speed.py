"""How fast the networks are here: measured, not held to anything."""

from __future__ import annotations

import platform
from collections.abc import Iterator

import torch

from saccade_env.bench import costs
from saccade_env.bench.subjects import pictures
from saccade_env.verify.table import Row

_ROWS = 16  # images in a batch


def check(device: str = "cpu", classifier: str = "dino_vits16") -> Iterator[Row]:
    """Rows of images a second, seen in full and with ten saccades, on the sample.

    Args:
        device: Where the network runs.
        classifier: Its name; weights that are not here are random, which are just as fast.
    """
    [cost] = costs.of_classifiers([classifier], pictures(None), device, _ROWS)
    for what, milliseconds in (("whole images", cost.once), ("saccades", cost.saccade)):
        found = f"{1000 / milliseconds:.1f} a second"
        yield Row(f"speed: {classifier}, {what}", "", found, True, machine(device))


def machine(device: str) -> str:
    """What computes, in words."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{_processor()}, {threads} thread{'s' * (threads > 1)}"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # Linux; platform says less there
            told = (line.partition(":")[2].strip() for line in file if "model name" in line)
            return next(told, platform.machine())
    except OSError:
        return platform.processor() or platform.machine()
