"""Evaluate forty images on two nodes of one processor each, and kill one at its work.

python two_nodes.py IMAGES OUT
"""

import sys
import threading
import time
from pathlib import Path

import ray
from ray.cluster_utils import Cluster

from saccade_env import evaluate, images, policies
from saccade_env.scale import RayEngine


def main(root: str, out: str) -> None:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    node = cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False)

    def kill() -> None:
        while len(list(Path(out, "parts").glob("*.parquet"))) < 4:
            time.sleep(0.05)
        while ray.available_resources().get("CPU", 0) > 0:  # until both have a worker
            time.sleep(0.05)
        cluster.remove_node(node, allow_graceful=False)
        print("killed a node after", len(list(Path(out, "parts").glob("*.parquet"))), "parts")

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    evaluate(
        [policies.create("random"), policies.create("centre")],
        images.create(root),
        "efficientnet_lite0",
        limit=40,
        batch_size=4,
        out=out,
        map_entropy=True,  # as the command does
        engine=RayEngine(cluster.address),
        progress=False,
    )
    killer.join()
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
