"""Play it yourself: click where to look, and see what the classifier makes of it.

S stops a picture early, Enter (or a click) goes on to the next one, Esc ends the game.

python examples/play.py --fovea 3 --saccades 10
"""

import argparse
from typing import Any

import gymnasium as gym
import pygame

import saccade_env  # noqa: F401 - registers SaccadeImageNet-v0
from saccade_env.images import class_names_imagenet
from saccade_env.rendering import token_at

TITLE = "Click where to look - S: that is enough, Esc: the end"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Help)
    parser.add_argument("--images", default="sample", help="'sample' or a folder")
    parser.add_argument("--classifier", default="efficientnet_lite0", help="who has to see it")
    parser.add_argument("--fovea", type=int, default=3, help="its side in tokens")
    parser.add_argument("--saccades", type=int, default=10, help="looks a picture")
    parser.add_argument("--seed", type=int, default=0, help="which pictures come")
    options = parser.parse_args()

    env = gym.make(
        "SaccadeImageNet-v0", images=options.images, classifier=options.classifier,
        fovea=options.fovea, max_saccades=options.saccades, stop_action=True,
        render_mode="human", hidden="grey",
    )  # fmt: skip
    played, over = [], False
    env.reset(seed=options.seed)
    pygame.display.set_caption(TITLE)
    while (action := next_action(env)) is not None:
        if over:
            env.reset()
            over = False
            pygame.display.set_caption(TITLE)
            continue
        *_, over, _, info = env.step(action)
        if over:
            played.append(info)
            if pygame.display.get_init():
                verdict = "Right" if info["correct"] else "Wrong"
                if info["label"] >= 0:
                    verdict += f", it is {class_names_imagenet()[info['label']].split(',')[0]}"
                pygame.display.set_caption(f"{verdict} - Enter: the next picture, Esc: the end")
    env.close()
    print(f"pictures finished: {len(played)}")
    for name in ("correct", "certainty", "visible_share") if played else ():
        print(f"mean {name}: {sum(float(info[name]) for info in played) / len(played):.3f}")


def next_action(env: gym.Env[Any, Any]) -> int | None:
    """Wait for a click (a token), S or Enter (stop), or the end (None)."""
    inner: Any = env.unwrapped
    while pygame.display.get_init():  # not once the window was closed
        event = pygame.event.wait()
        if event.type == pygame.MOUSEBUTTONDOWN and event.button == 1:
            (col, row), (width, height) = event.pos, pygame.display.get_surface().get_size()
            size = tuple(inner.images.shape[2:])
            token = token_at((row, col), size, inner.patch_size, shown=(height, width))
            if token is not None:
                return token
        key = event.key if event.type == pygame.KEYDOWN else None
        if key in (pygame.K_s, pygame.K_RETURN):
            return inner.config.num_tokens
        if key == pygame.K_ESCAPE or event.type == pygame.QUIT:
            break
    return None


class _Help(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Show the text above as it is, and the defaults."""


if __name__ == "__main__":
    main()
