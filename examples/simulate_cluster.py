"""What one driver can bear: an evaluation by Ray whose classifier sleeps instead of computing.

The workers are processes of this machine, but as good as machines of their own: they need hardly
any of its time. A worker is as fast as --seconds, for a batch of 32 images and all policies, says.

python examples/simulate_cluster.py --actors 64 --seconds 4
"""

import argparse
import os
import resource
import tempfile
import time

import torch
from torch import Tensor

from saccade_env import Classifier, SaccadeConfig, evaluate, policies
from saccade_env.bench.subjects import Repeated
from saccade_env.classifiers import Weights
from saccade_env.images import create
from saccade_env.scale import RayEngine

BATCH = 32
NAMES = ("random", "random:seed=1", "random:seed=2", "random:seed=3", "centre")


class Sleeping(Classifier):
    """Takes its time, and knows nothing."""

    name, grid, patch_size, num_classes = "sleeping", (14, 14), 16, 1000
    weights = Weights("none", "-")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds  # a forward

    def begin(self, images: Tensor) -> Tensor:
        return images[:, 0, 0, 0].float()

    def classify(self, memory: Tensor, revealed: Tensor) -> tuple[Tensor, Tensor]:
        time.sleep(self.seconds)
        return torch.zeros(len(revealed), self.num_classes), memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Help)
    parser.add_argument("--actors", type=int, default=64, help="workers at once")
    parser.add_argument("--seconds", type=float, default=4.0, help="a batch takes a worker")
    parser.add_argument("--batches", type=int, default=8, help="for each worker")
    options = parser.parse_args()

    import ray

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(address="local", num_cpus=options.actors, include_dashboard=False, log_to_driver=False)
    images = Repeated(create("sample"), BATCH * options.actors * options.batches, decoded=True)
    judge = Sleeping(options.seconds / (len(NAMES) * SaccadeConfig().max_saccades + 1))
    told: list[tuple[float, float]] = []  # when a batch came, and the driver's own time until then
    with tempfile.TemporaryDirectory() as out:
        evaluate(
            {name: policies.create(name) for name in NAMES}, images, judge, out=out,
            engine=RayEngine(), check_labels=False,
            progressed=lambda _: told.append((time.perf_counter(), time.process_time())),
        )  # fmt: skip
    begun = options.actors  # every worker has made one
    (start, own_start), (end, own_end) = told[begun], told[-1]
    parts, memory = len(told) - 1 - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{parts / (end - start):.1f} batches a second came back from {options.actors} workers")
    print(f"the driver needs {(own_end - own_start) / parts * 1000:.1f} ms of a processor for each")
    print(f"and {memory / 1e6:.2f} GB at most")


class _Help(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Show the text above as it is, and the defaults."""


if __name__ == "__main__":
    main()
