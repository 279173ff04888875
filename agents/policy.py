"""A trained agent as a policy, to evaluate and record it beside the fixed ones.

Agents are kept as safetensors and JSON, see :mod:`.files`; :mod:`.sb3_zip` reads those that are
still in Stable-Baselines3's zip files. Whatever trained it, an agent is asked in one way: see
:class:`Network`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from saccade_env.agents.files import DESCRIPTION, WEIGHTS, read_description, read_weights
from saccade_env.agents.net import TEMPERATURE
from saccade_env.agents.observation import Observing, eye_of
from saccade_env.classifiers.base import Weights
from saccade_env.classifiers.weights_file import sha256
from saccade_env.core import Policy, View, open_cells
from saccade_env.observe.eye import WHOLE
from saccade_env.spaces import Observation

Grid = tuple[int, int]
MakePrior = Callable[[str], Any]


class Network(Protocol):
    """What is asked where to look: a ``TokenGridNet``, or a model of Stable-Baselines3.

    The latter as a :class:`.sb3_policies.Sb3Network`, for PPO, MaskablePPO, DQN and RecurrentPPO.

    Attributes:
        stop_action: Whether the last logit ends the episode.
    """

    stop_action: bool

    def logits(
        self, observation: Observation, budget: int, state: Any = None
    ) -> tuple[Float[Tensor, "batch actions"], Any]:
        """Logits of the actions, and what it remembers.

        Args:
            observation: NumPy arrays, batch first.
            budget: Saccades of the episodes.
            state: What the last call of these episodes returned; None before the first saccade.
        """


class AgentPolicy:
    """Looks where a network's logit is highest among the cells that are not inhibited.

    Args:
        net: On the classifier's grid.
        observing: Builds what the network observes.
        name: Of the agent.
        prior: The policy whose map it observes, if any.
        stops: Let it stop, if it has learned to. The task must have the stop action too.
        weights: Where the network came from.

    Attributes:
        sees_full_image: The prior's, or the eye's. A periphery does not count, unless its side is
            above half of the image's: then it is no low resolution.
        periphery: Side in pixels of the picture that it observes, or its eye; 0 without: results
            name it.
        belief: Number of class probabilities it observes.
        eye: What its eye is, in words; None without.
    """

    def __init__(
        self,
        net: Network,
        observing: Observing,
        name: str = "agent",
        prior: Policy | None = None,
        stops: bool = False,
        weights: Weights | None = None,
    ) -> None:
        self.name, self.prior, self.stops = name, prior, stops and net.stop_action
        eye = observing.eye
        sharp = 2 * observing.periphery > min(observing.grid) * observing.patch_size
        whole = eye is not None and eye.sees == WHOLE
        self.sees_full_image = whole or sharp or (prior is not None and prior.sees_full_image)
        self.grid, self.weights = observing.grid, weights
        pixels = 0 if eye is None or whole else int(eye.sees)
        self.periphery, self.belief = max(observing.periphery, pixels), observing.belief
        self.eye = eye and str(eye)
        self._net, self._observing, self._state = net, observing, None
        self._told: tuple[View, Tensor] | None = None  # the last view, and the logits on it

    @classmethod
    def load(
        cls,
        folder: str | Path,
        grid: Grid = (14, 14),
        make_prior: MakePrior | None = None,
        device: str | torch.device = "cpu",
        stops: bool = False,
        *,
        source: str | None = None,
    ) -> AgentPolicy:
        """Read an agent in our own format. Nothing is executed, whatever the folder holds.

        Args:
            folder: With ``agent.safetensors`` and ``agent.json``.
            grid: The classifier's token grid, not necessarily the one it was trained on.
            make_prior: Builds the policy of that name, for agents that observe a saliency map.
            device: Where the network runs.
            stops: Let it stop, if it has learned to.
            source: Where results say that its weights came from; by default their path.

        Raises:
            FileNotFoundError: A file is missing; nothing else is read in its place.
            OSError: The description is no JSON object.
            ValueError: A field of the description is missing, unknown, of another type or out of
                range, or a prior is needed and cannot be made; the message names file and field.
            WeightsError: The weights are damaged, another network's, or not finite.
        """
        folder = Path(folder)
        described = read_description(folder)
        network = described["network"]
        observing, prior = observing_of(
            described["observation"],
            grid,
            network["patch_size"],
            make_prior,
            device,
            str(folder / DESCRIPTION),
        )
        net = read_weights(folder, network, observing.space(described["max_saccades"]))
        weights = Weights(source or str(folder / WEIGHTS), sha256(folder / WEIGHTS))
        return cls(net.to(device), observing, described["name"], prior, stops, weights)

    def reset(self, images: UInt8[Tensor, "batch 3 height width"]) -> None:
        """Take in new images: their tokens, periphery and prior maps, once.

        Raises:
            ValueError: They do not have the grid's size.
        """
        self._observing.begin(images)
        self._state = self._told = None

    def act(self, view: View) -> Int[Tensor, " batch"]:
        """Token index of the highest logit that is not inhibited; N stops, where allowed.

        Raises:
            FloatingPointError: The network gave NaN or infinity.
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

    def predicted_gain(self, view: View) -> Float[Tensor, " batch"]:
        """What it expects of its next fixation, in nats of the right class's log-probability.

        Told well by agents that imitate a teacher of gains and by no others; on the CPU.
        """
        cells = open_cells(view).flatten(1).cpu()
        logits = self.logits(view).cpu()[:, : cells.shape[1]]
        return TEMPERATURE * logits.masked_fill(~cells, -torch.inf).amax(1)

    @torch.no_grad()
    def logits(self, view: View) -> Float[Tensor, "batch actions"]:
        """The network's logits, nothing masked; the budget is the view's.

        It remembers what it has seen: asked again about the same view, it does not look again.

        Raises:
            FloatingPointError: They are not finite.
        """
        if self._told and all(one is own for one, own in zip(view, self._told[0], strict=True)):
            return self._told[1]
        observation, budget = self._observing(view), view.fixations.shape[1]
        logits, self._state = self._net.logits(observation, budget, self._state)
        if not torch.isfinite(logits).all():
            rows = (~torch.isfinite(logits)).any(1).nonzero().flatten().tolist()
            raise FloatingPointError(f"agent {self.name!r} gave NaN or inf in rows {rows}")
        self._told = view, logits
        return logits


def observing_of(
    observation: dict[str, Any],
    grid: Grid,
    patch_size: int,
    make_prior: MakePrior | None,
    device: str | torch.device,
    where: str,
) -> tuple[Observing, Any]:
    """What builds the observation that a description names, and the prior in it.

    Raises:
        ValueError: It needs a prior, and there is nothing to make it with, or policy or classifier
            do not serve; the message begins with ``where``, the name of the file.
    """
    periphery, name, belief = (observation[key] for key in ("periphery", "prior", "belief"))
    if name and make_prior is None:
        raise ValueError(
            f"{where}: this agent observes the map of policy {name!r}: give make_prior, which "
            "builds it"
        )
    try:
        prior = make_prior(name) if name and make_prior else None
        eye = eye_of(observation["eye"], grid, patch_size, device)
        return Observing(grid, patch_size, periphery, prior, belief, eye), prior
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}, 'observation': {error}") from error
