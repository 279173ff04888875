"""A trained agent as a policy, to evaluate and record it beside the fixed ones.

Agents are kept as safetensors and JSON, see :mod:`.files`; :mod:`.sb3_zip` reads those
that are still in Stable-Baselines3's zip files.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from saccade_env import classifiers
from saccade_env.agents.files import WEIGHTS, read_description, read_weights
from saccade_env.agents.net import TokenGridNet
from saccade_env.agents.observation import Observing
from saccade_env.classifiers.base import Weights
from saccade_env.classifiers.weights_file import sha256
from saccade_env.core import View, open_cells

Grid = tuple[int, int]
MakePrior = Callable[[str], Any]


class AgentPolicy:
    """Looks where a network's logit is highest among the cells that are not inhibited.

    Args:
        net: On the classifier's grid; a ``TokenGridNet``, or what answers like one.
        observing: Builds what the network observes.
        name: Of the agent.
        prior: The policy whose map it observes, if any.
        stops: Let it stop, if it has learned to. The task must have the stop action too.
        device: Where the network runs.
        weights: Where the network came from.

    Attributes:
        sees_full_image: The prior's. A periphery does not count, unless its side is above half of
            the image's: then it is no low resolution.
        periphery: Side in pixels of the picture it observes, 0 without: results name it.
        belief: Number of class probabilities it observes.
        eye: Name of the classifier whose activation it observes, None without.
    """

    def __init__(
        self,
        net: Any,
        observing: Observing,
        name: str = "agent",
        prior: Any = None,
        stops: bool = False,
        device: str | torch.device = "cpu",
        weights: Weights | None = None,
    ) -> None:
        self.name, self.prior, self.stops = name, prior, stops and net.stop_action
        sharp = 2 * observing.periphery > min(observing.grid) * observing.patch_size
        self.sees_full_image = sharp or bool(getattr(prior, "sees_full_image", prior is not None))
        self.grid, self.weights = observing.grid, weights
        self.periphery, self.belief = observing.periphery, observing.belief
        self.eye = observing.eye
        self._net, self._observing = net.to(device).eval(), observing
        self._device = torch.device(device)

    @classmethod
    def load(
        cls,
        folder: str | Path,
        grid: Grid = (14, 14),
        make_prior: MakePrior | None = None,
        device: str | torch.device = "cpu",
        stops: bool = False,
    ) -> AgentPolicy:
        """Read an agent in our own format; nothing in it is executed.

        Args:
            folder: With ``agent.safetensors`` and ``agent.json``.
            grid: The classifier's token grid, not necessarily the one it was trained on.
            make_prior: Builds the policy of that name, for agents that observe a saliency map.
            device: Where the network runs.
            stops: Let it stop, if it has learned to.

        Raises:
            FileNotFoundError: A file is missing.
            ValueError: The description is incomplete, or a prior is needed and cannot be made.
            WeightsError: The weights are damaged or another network's.
        """
        folder = Path(folder)
        described = read_description(folder)
        network = dict(described["network"])
        observing, prior = observing_of(
            described["observation"], grid, network.pop("patch_size"), make_prior, device
        )
        net = TokenGridNet(observing.space(described["max_saccades"]), **network)
        read_weights(net, folder)
        weights = Weights(str(folder / WEIGHTS), sha256(folder / WEIGHTS))
        return cls(net, observing, described["name"], prior, stops, device, weights)

    def reset(self, images: UInt8[Tensor, "batch 3 height width"]) -> None:
        """Take in new images: their tokens, periphery and prior maps, once.

        Raises:
            ValueError: They do not have the grid's size.
        """
        self._observing.begin(images)
        if hasattr(self._net, "begin"):  # it has a memory
            self._net.begin()

    def act(self, view: View) -> Int[Tensor, " batch"]:
        """Token index of the highest logit that is not inhibited; N stops, where allowed.

        Raises:
            RuntimeError: There was no reset.
            ValueError: The view is of other episodes.
        """
        logits = self.logits(view)
        mask = open_cells(view).flatten(1).to(logits.device)
        cells = mask.shape[1]
        masked = logits[:, :cells].masked_fill(~mask, -torch.inf)
        if self.stops:
            masked = torch.cat((masked, logits[:, cells:]), 1)
        return masked.argmax(1).to(view.revealed.device)

    @torch.no_grad()
    def logits(self, view: View) -> Float[Tensor, "batch actions"]:
        """The network's logits as they are, nothing masked; the budget is the view's."""
        observation = {
            key: torch.as_tensor(value).to(self._device)
            for key, value in self._observing(view).items()
        }
        self._net.budget = view.fixations.shape[1]
        return self._net(observation)[0]


def observing_of(
    observation: dict[str, Any],
    grid: Grid,
    patch_size: int,
    make_prior: MakePrior | None,
    device: str | torch.device = "cpu",
) -> tuple[Observing, Any]:
    """What builds the observation that a description names, and the prior in it.

    Raises:
        ValueError: It needs a prior, and there is nothing to make it with.
    """
    name = observation["prior"]
    if name and make_prior is None:
        raise ValueError(
            f"this agent observes the map of policy {name!r}: give make_prior, which builds it"
        )
    prior = make_prior(name) if name and make_prior else None
    eye = observation["activation"] and classifiers.create(
        observation["activation"],
        image_size=(grid[0] * patch_size, grid[1] * patch_size),
        patch_size=patch_size,
        device=device,
    )
    sizes = observation["periphery"], prior, observation["belief"]
    return Observing(grid, patch_size, *sizes, eye), prior
