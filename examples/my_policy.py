"""Bring your own policy: any saliency map becomes one.

This one looks where the picture has most contrast.

python examples/my_policy.py [LIMIT]
"""

import sys
from pathlib import Path

import gymnasium as gym
from torch import Tensor

import saccade_env  # noqa: F401 - registers SaccadeImageNet-v0
from saccade_env import evaluate, geometry, policies, rendering


class ContrastPolicy(policies.SaliencyPolicy):
    """Standard deviation of the grey values inside each token."""

    name = "contrast"
    sees_full_image = True

    def saliency_map(self, images: Tensor) -> Tensor:
        """uint8 [B, 3, H, W] → [B, rows, cols]; higher is looked at sooner."""
        patch_size = images.shape[-1] // self.grid[1]
        grey = images.float().mean(1, keepdim=True)
        return geometry.patchify(grey, patch_size).std(-1).reshape(-1, *self.grid)


def main(limit: int | None = None, out: Path = Path("contrast.gif")) -> None:
    mine, random = ContrastPolicy(), policies.create("random")
    result = evaluate([mine, random], images="sample", classifier="efficientnet_lite0", limit=limit)
    for name, values in result.summary["results"].items():
        print(
            f"{name:10s} certainty after each saccade:", [round(c, 2) for c in values["certainty"]]
        )

    env = gym.make(
        "SaccadeImageNet-v0", images="sample", classifier="efficientnet_lite0",
        render_mode="rgb_array",
    )  # fmt: skip
    rendering.record(env, mine, out, index=0)
    print("recorded", out)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
