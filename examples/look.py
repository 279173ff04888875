"""Make the environment, look around at random, and save what it looked like.

python examples/look.py
"""

from pathlib import Path

import gymnasium as gym
import imageio.v3 as imageio

import saccade_env  # noqa: F401 - registers SaccadeImageNet-v0


def main(out: Path = Path("look.png")) -> None:
    env = gym.make("SaccadeImageNet-v0", images="sample", render_mode="rgb_array")
    observation, info = env.reset(seed=0)
    env.action_space.seed(0)
    print("observation:", {key: getattr(v, "shape", v) for key, v in observation.items()})

    over = False
    while not over:
        action = env.action_space.sample(info["action_mask"].astype("int8"))
        observation, reward, terminated, truncated, info = env.step(action)
        over = terminated or truncated
        row, col = observation["fixation"]
        print(
            f"looked at ({row:2d}, {col:2d})  reward {reward:+.3f}  "
            f"certainty {info['certainty']:.3f}  class {info['prediction']}"
        )
    imageio.imwrite(out, env.render())
    print("right" if info["correct"] else "wrong", "- picture saved to", out)


if __name__ == "__main__":
    main()
