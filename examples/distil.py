"""Make a CNN used to seeing little: it learns its own answers to whole pictures from parts of them.

No label is used. Most of what has changed is then taken back (`--keep`), so that whole pictures
lose little. So `efficientnet_lite0_partial` was made: see docs/partial.md.

python examples/distil.py --images PATH/TO/imagenet/train --out partial.safetensors
"""

import argparse
import copy
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F
from tqdm.auto import trange

from saccade_env import classifiers, geometry, images
from saccade_env.agents.augment import Augmented, split
from saccade_env.observe.activation import blur, logits_and_activation


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Help)
    parser.add_argument("--images", default="sample", help="'sample' or a folder; no label is used")
    parser.add_argument("--epochs", type=int, default=10, help="times that it sees a picture")
    parser.add_argument("--batch-size", type=int, default=32, help="pictures a step")
    parser.add_argument("--learning-rate", type=float, default=5e-5, help="at its highest")
    parser.add_argument("--keep", type=float, default=0.4, help="share of the change that is kept")
    parser.add_argument("--eval-share", type=float, default=0.15, help="held back, as in training")
    parser.add_argument("--out", type=Path, default=Path("partial.safetensors"), help="a file")
    options = parser.parse_args()

    plain = classifiers.create("efficientnet_lite0")
    source, _ = split(images.create(options.images), options.eval_share, seed=0)
    network = distil(plain, source, options)
    save_file(change(plain.network.state_dict(), network.state_dict(), options.keep), options.out)
    print("wrote", options.out)


def distil(plain, source, options) -> torch.nn.Module:
    """A copy of the network that answers to parts as the plain one does to the whole."""
    network = copy.deepcopy(plain.network).eval().requires_grad_()  # statistics stay as they are
    decayed = [p for p in network.parameters() if p.dim() > 1]
    others = [p for p in network.parameters() if p.dim() <= 1]
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, options.learning_rate)
    rows = min(options.batch_size, len(source))
    steps = len(source) // rows
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, options.learning_rate, options.epochs * steps, pct_start=0.1
    )
    draw, crops = torch.Generator().manual_seed(0), Augmented(source, seed=0)
    for epoch in trange(options.epochs, unit="epoch"):
        order = epoch * len(source) + torch.randperm(len(source), generator=draw)
        for part in order[: steps * rows].split(rows):
            shown = torch.stack([crops[int(i)].image for i in part])
            logits, maps = logits_and_activation(plain, shown)
            answers = network(partial(plain, shown, maps, draw)).log_softmax(-1)
            loss = F.kl_div(answers, logits.softmax(-1), reduction="batchmean")
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimizer.step()
            schedule.step()
    return network


def partial(plain, shown: Tensor, maps: Tensor, draw: torch.Generator) -> Tensor:
    """One to ten windows of every picture, some pictures whole; the rest neutral or blurred."""
    count, kind = len(shown), torch.rand(len(shown), generator=draw)
    revealed = windows(maps, draw) | (kind < 0.2)[:, None, None]
    sharp, behind = plain.normalise(shown), torch.zeros(count, *shown.shape[1:])
    if (blurred := kind > 0.8).any():
        behind[blurred] = plain.normalise(blur(shown[blurred], 64)).float()
    seen = geometry.to_pixels(revealed, plain.patch_size)[:, None]
    return torch.where(seen, sharp, behind).contiguous(memory_format=torch.channels_last)


def windows(maps: Tensor, draw: torch.Generator) -> Tensor:
    """Revealed tokens: windows anywhere, around some place, or where there is activation."""
    count, grid = len(maps), tuple(maps.shape[1:])
    row, col = torch.meshgrid(*(torch.arange(float(side)) for side in grid), indexing="ij")
    number = torch.randint(1, 11, (count, 1), generator=draw)
    kind = torch.randint(0, 3, (count, 1, 1), generator=draw)
    middle = (torch.tensor(grid) - 1)[:, None, None] / 2
    place = middle + 2 * torch.randn(count, 2, 1, 1, generator=draw)
    width = 1.5 + 3 * torch.rand(count, 1, 1, generator=draw)
    distance = (row - place[:, 0]) ** 2 + (col - place[:, 1]) ** 2
    around = (-distance / (2 * width**2)).exp()
    liked = torch.where(kind == 0, 1.0, torch.where(kind == 1, around, maps**2 + 1e-3))
    fixations = torch.multinomial(liked.flatten(1) + 1e-8, 10, generator=draw)
    kept = torch.arange(10) < number
    table = geometry.fovea_windows(grid, 3, maps.device)
    return (table[fixations] & kept[..., None, None]).any(1)


def change(before: dict[str, Tensor], after: dict[str, Tensor], keep: float) -> dict[str, Tensor]:
    """What of the change is kept, in int8, with a unit for each output of a layer."""
    kept = {}
    for key, value in before.items():
        difference = keep * (after[key] - value)
        if value.is_floating_point() and difference.any():  # else a count, or not learned
            axes = tuple(range(1, difference.dim())) or (0,)
            unit = difference.abs().amax(axes, keepdim=True).clamp(min=1e-12) / 127
            kept |= {key: (difference / unit).round().to(torch.int8), f"{key}.unit": unit}
    return {key: value.contiguous() for key, value in kept.items()}


class _Help(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Show the text above as it is, and the defaults."""


if __name__ == "__main__":
    main()
