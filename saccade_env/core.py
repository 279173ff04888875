"""The rules of the task, and its only transition: :func:`saccade`.

Everything is pure, batched (leading axis = episodes) and torch only. ``SaccadeEnv``,
``SaccadeVectorEnv`` and the evaluator all call these functions; nothing is written twice.
A fixation is a row-major token index; in ``State.fixations`` it is (row, col).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int, Shaped, UInt8
from torch import Tensor

from saccade_env import geometry
from saccade_env.classifiers.base import Classifier
from saccade_env.config import UNLABELLED as UNLABELLED
from saccade_env.config import SaccadeConfig
from saccade_env.rows import take_rows


class State(NamedTuple):
    """A batch of episodes. Every tensor has the batch as leading axis.

    Only ``memory`` is on the classifier's device; all else stays on the CPU, so that a saccade
    waits for a GPU once, for its logits.
    """

    memory: Any  # the classifier's own
    images: UInt8[Tensor, "batch 3 height width"]
    labels: Int[Tensor, " batch"]  # UNLABELLED where unknown
    image_index: Int[Tensor, " batch"]  # place in the image source
    revealed: Bool[Tensor, "batch rows cols"]
    inhibition: Bool[Tensor, "batch rows cols"]
    fixations: Int[Tensor, "batch saccades 2"]  # (row, col); -1 where not made yet
    saccades_done: Int[Tensor, " batch"]
    logits: Float[Tensor, "batch classes"]
    certainty: Float[Tensor, " batch"]


class Outcome(NamedTuple):
    """What one saccade brought, row by row."""

    reward: Float[Tensor, " batch"]
    terminated: Bool[Tensor, " batch"]


class View(NamedTuple):
    """What a policy may know of an episode: no label and nothing hidden."""

    revealed: Bool[Tensor, "batch rows cols"]
    inhibition: Bool[Tensor, "batch rows cols"]
    fixations: Int[Tensor, "batch saccades 2"]
    saccades_done: Int[Tensor, " batch"]
    logits: Float[Tensor, "batch classes"]
    certainty: Float[Tensor, " batch"]


@runtime_checkable
class Policy(Protocol):
    """Chooses where to look.

    ``sees_full_image`` says whether it looks at the whole picture before choosing (as DINO
    attention, GBVS and UNISAL do); reports state it.
    """

    name: str
    sees_full_image: bool

    def reset(self, images: UInt8[Tensor, "batch 3 height width"]) -> None:
        """Take in the images of a new batch of episodes."""

    def act(self, view: View) -> Int[Tensor, " batch"]:
        """Token index of the next fixation of every episode."""


@runtime_checkable
class Oracle(Policy, Protocol):
    """A policy that is handed the episodes themselves, once, when it is reset.

    With them come images, classifier and labels, of which a :class:`View` stays free.
    ``sees_label`` says whether it makes use of labels: reports then show it as the ceiling. One
    that does not, and only wants the classifier to look ahead with, is a competitor.
    """

    sees_label: bool

    def reset_seeing(self, state: State, config: SaccadeConfig, classifier: Classifier) -> None:
        """Take in a batch of running episodes as they are.

        Raises:
            ValueError: A label that it needs is missing.
        """


@runtime_checkable
class HasMaps(Protocol):
    """A policy that looks at the highest value of a saliency map, one an image."""

    def saliency_map(
        self, images: UInt8[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch rows cols"]:
        """Compute the maps of these images."""

    def maps(
        self, images: UInt8[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch rows cols"]:
        """The same maps, which may have been kept."""


@runtime_checkable
class PredictsGain(Protocol):
    """A policy that says what it expects of its next saccade, so that one may stop before it."""

    def predicted_gain(self, view: View) -> Float[Tensor, " batch"]:
        """What the next saccade should add to the log-probability of the right class, in nats."""


def reset_policy(
    policy: Policy, state: State, config: SaccadeConfig, classifier: Classifier
) -> None:
    """Start a policy on episodes at any saccade; it gets their images, an oracle everything."""
    if isinstance(policy, Oracle):
        policy.reset_seeing(state, config, classifier)
    else:
        policy.reset(state.images)


def certainty(logits: Float[Tensor, "batch classes"]) -> Float[Tensor, " batch"]:
    """Certainty = 1 − H(p) / ln n, p = softmax(logits): 1 when sure, 0 when uniform (paper).

    It is finite for all finite logits, and 1 where there is but one class.

    >>> certainty(torch.tensor([[0.0, 0.0], [0.0, 1000.0]]))
    tensor([0., 1.])
    """
    # The difference of two logits may be beyond what floats hold, and 0 · ∞ is NaN.
    log_p = logits.log_softmax(-1).clamp(min=torch.finfo(logits.dtype).min)
    entropy = -(log_p.exp() * log_p).sum(-1)
    return (1 - entropy / math.log(max(logits.shape[-1], 2))).clamp(0, 1)


def map_entropy(saliency: Float[Tensor, "batch rows cols"]) -> Float[Tensor, " batch"]:
    """Entropy in bits of saliency maps normalised to sum 1; log2(rows · cols) when flat (paper).

    An all-zero map counts as flat.

    Raises:
        ValueError: A map holds a negative or non-finite value.

    >>> map_entropy(torch.ones(1, 8, 8)).round()
    tensor([6.])
    """
    flat = saliency.flatten(1)
    if not (torch.isfinite(flat).all() and (flat >= 0).all()):
        raise ValueError("map entropy needs finite values ≥ 0")
    total = flat.sum(-1, keepdim=True)
    p = torch.where(total > 0, flat / total.clamp(min=torch.finfo(flat.dtype).tiny), 1.0)
    p = p / p.sum(-1, keepdim=True)
    entropy: Tensor = -torch.special.xlogy(p, p).sum(-1) / math.log(2)
    return entropy


def visible_share(revealed: Bool[Tensor, "batch rows cols"]) -> Float[Tensor, " batch"]:
    """Share of the tokens revealed, 0 to 1 (the paper gives it in per cent).

    >>> visible_share(torch.eye(4, dtype=torch.bool)[None])
    tensor([0.2500])
    """
    return revealed.flatten(1).float().mean(-1)


def true_class_probability(state: State) -> Float[Tensor, " batch"]:
    """Probability of the labelled class; NaN where there is no label."""
    p = state.logits.softmax(-1)
    own = p.gather(-1, state.labels.clamp(min=0)[:, None])[:, 0]
    return torch.where(state.labels >= 0, own, torch.nan)


def true_class_log_probability(state: State) -> Float[Tensor, " batch"]:
    """Its logarithm, in nats."""
    log_p = state.logits.float().log_softmax(-1)
    own = log_p.gather(-1, state.labels.clamp(min=0)[:, None])[:, 0]
    return torch.where(state.labels >= 0, own, torch.nan)


def correct(state: State) -> Bool[Tensor, " batch"]:
    """Whether the top class is the label; False where there is no label."""
    return state.logits.argmax(-1) == state.labels


def open_cells(state: State | View) -> Bool[Tensor, "batch rows cols"]:
    """Cells not under inhibition of return. Fixating another one is legal and reveals less."""
    return ~state.inhibition


def inhibit(
    inhibition: Bool[Tensor, "batch rows cols"], window: Bool[Tensor, "batch rows cols"]
) -> Bool[Tensor, "batch rows cols"]:
    """Inhibition of return: add the fovea window; when nothing is left, everything opens again."""
    inhibition = inhibition | window
    return inhibition & ~inhibition.flatten(1).all(-1)[:, None, None]


def _level(value: Callable[[State], Tensor]) -> Callable[[State, State], Tensor]:
    return lambda before, after: value(after)


def _gain(value: Callable[[State], Tensor]) -> Callable[[State, State], Tensor]:
    return lambda before, after: value(after) - value(before)


#: Rewards by name, of the states before and after a saccade.
REWARDS: dict[str, Callable[[State, State], Tensor]] = {
    "certainty_gain": _gain(lambda state: state.certainty),
    "certainty": _level(lambda state: state.certainty),
    "correct_certainty_gain": _gain(lambda state: state.certainty * correct(state)),
    "true_class_gain": _gain(true_class_probability),
    "true_class_log_gain": _gain(true_class_log_probability),
    "correct": _level(lambda state: correct(state).float()),
}


def reward(before: State, after: State, config: SaccadeConfig) -> Float[Tensor, " batch"]:
    """Reward of one transition.

    ``certainty_gain`` (telescopes to final minus initial certainty), ``certainty``,
    ``correct_certainty_gain`` (certainty counts only while the prediction is right),
    ``true_class_gain``, ``true_class_log_gain`` (in nats) and ``correct``. ``saccade_cost`` is
    subtracted for every saccade made; stopping is no saccade.
    """
    made = (after.saccades_done - before.saccades_done).float()
    return REWARDS[config.reward](before, after) - config.saccade_cost * made


def check_logits(logits: Tensor, classifier: Classifier) -> Tensor:
    """Pass finite logits through.

    Raises:
        FloatingPointError: The classifier answered NaN or infinity.
    """
    # One that is not finite makes the sum so, which is far cheaper to see.
    if not torch.isfinite(logits.sum(dtype=torch.float32)):
        rows = (~torch.isfinite(logits)).any(-1).nonzero().flatten().tolist()
        if rows:
            raise FloatingPointError(
                f"classifier {classifier.name!r} gave NaN or inf in rows {rows}"
            )
    return logits


def check_fixations(
    fixation: Any, running: Bool[Tensor, " batch"], config: SaccadeConfig, policy: str
) -> Int[Tensor, " batch"]:
    """Pass the fixations of a policy through, with the stop action N where an episode is over.

    Args:
        fixation: What the policy answered; in rows that are over any whole number will do.
        running: Where an episode is not over.
        config: The task.
        policy: Its name, for the message.

    Raises:
        ValueError: They are no whole numbers [B], out of range, or stop where nothing may stop.
    """
    stop = config.num_tokens
    wanted = (
        f"policy {policy!r} must choose whole numbers of shape {(len(running),)}, token indices "
        f"≥ 0 and < {stop}{f', or {stop} to stop' if config.stop_action else ''}"
    )
    if not isinstance(fixation, Tensor):
        raise ValueError(f"{wanted}; got {type(fixation).__name__}")
    whole = not (
        fixation.is_floating_point() or fixation.is_complex() or fixation.dtype == torch.bool
    )
    if not whole or fixation.shape != running.shape or fixation.is_meta:
        found = f"{fixation.dtype} of shape {tuple(fixation.shape)} on {fixation.device}"
        raise ValueError(f"{wanted}; got {found}")
    chosen: Tensor = torch.where(running, fixation.to(running.device, torch.long), stop)
    if not config.stop_action and (chosen == stop).any():
        raise ValueError(
            f"policy {policy!r} stops, and the task has no stop action; an evaluation "
            "without the stopping rule draws its curve all the same (stop_at)"
        )
    if (wrong := (chosen < 0) | (chosen > stop)).any():
        rows, values = wrong.nonzero().flatten().tolist(), chosen[wrong].tolist()
        raise ValueError(f"{wanted}; got {values} in rows {rows}")
    return chosen


def begin(
    images: Shaped[Tensor, "batch 3 height width"],
    labels: Int[Tensor, " batch"],
    image_index: Int[Tensor, " batch"],
    config: SaccadeConfig,
    classifier: Classifier,
    memory: Any = None,
    blank: Float[Tensor, " classes"] | None = None,
) -> State:
    """Start a batch of episodes with nothing revealed.

    Args:
        images: uint8, on the CPU.
        labels: Class of each image, ``UNLABELLED`` where unknown.
        image_index: Place of each image in its source.
        config: The task; its grid must be the classifier's.
        classifier: Judges what is revealed.
        memory: ``classifier.begin(images)`` if it is at hand already.
        blank: The classifier's logits with nothing revealed, likewise: the same for every image.

    Raises:
        ValueError: The reward needs labels and one is missing, or a label is no class.
    """
    _check_labels(labels, config, classifier)
    batch, device = len(images), images.device
    memory = classifier.begin(images) if memory is None else memory
    hidden = torch.zeros(batch, *config.grid, dtype=torch.bool, device=device)
    blank = blank_logits(memory, hidden, classifier) if blank is None else blank
    logits = blank.expand(batch, -1)
    return State(
        memory=memory,
        images=images,
        labels=labels,
        image_index=image_index,
        revealed=hidden,
        inhibition=hidden.clone(),
        fixations=torch.full((batch, config.max_saccades, 2), -1, device=device),
        saccades_done=torch.zeros(batch, dtype=torch.long, device=device),
        logits=logits,
        certainty=certainty(logits),
    )


def blank_logits(
    memory: Any, hidden: Bool[Tensor, "batch rows cols"], classifier: Classifier
) -> Float[Tensor, " classes"]:
    """Logits with nothing revealed: those of one row, since they are the same for every image."""
    one = take_rows(memory, torch.zeros(1, dtype=torch.long))
    logits, _ = classifier.classify(one, hidden[:1])
    return check_logits(logits.to(hidden.device), classifier)[0]


def saccade(
    state: State, fixation: Int[Tensor, " batch"], config: SaccadeConfig, classifier: Classifier
) -> tuple[State, Outcome]:
    """Move every fovea once: reveal, inhibit, classify, reward. The only transition.

    Args:
        state: Episodes that are not over.
        fixation: Row-major token index in [0, N); N means stop where ``config.stop_action``.
        config: The task.
        classifier: Judges what is revealed.
    """
    stops = fixation >= config.num_tokens
    target = fixation.clamp(max=config.num_tokens - 1)
    window = geometry.fovea_windows(config.grid, config.fovea, fixation.device)[target]
    window = window & ~stops[:, None, None]
    revealed = state.revealed | window
    logits, memory = state.logits, state.memory
    if not stops.all():
        fresh, memory = classifier.classify(memory, revealed)
        fresh = check_logits(fresh.to(revealed.device), classifier)
        logits = torch.where(stops[:, None], logits, fresh) if stops.any() else fresh
    after = state._replace(
        memory=memory,
        revealed=revealed,
        inhibition=inhibit(state.inhibition, window),
        fixations=_write_fixation(state, target, stops, config),
        saccades_done=state.saccades_done + ~stops,
        logits=logits,
        certainty=certainty(logits),
    )
    terminated = stops | (after.saccades_done >= config.max_saccades)
    return after, Outcome(reward(state, after, config), terminated)


def view(state: State) -> View:
    """What a policy may see of the state."""
    return View(*(getattr(state, name) for name in View._fields))


def _check_labels(labels: Tensor, config: SaccadeConfig, classifier: Classifier) -> None:
    if config.needs_label and (labels < 0).any():
        raise ValueError(
            f"reward {config.reward!r} needs labelled images, and an image has no label; "
            "use reward='certainty_gain' or images sorted into class folders"
        )
    if (labels >= classifier.num_classes).any():
        raise ValueError(
            f"label {int(labels.max())} is no class of {classifier.name!r}, "
            f"which has {classifier.num_classes}"
        )


def _write_fixation(state: State, target: Tensor, stops: Tensor, config: SaccadeConfig) -> Tensor:
    place = torch.arange(config.max_saccades, device=target.device) == state.saccades_done[:, None]
    row_col = geometry.index_to_row_col(target, config.grid)
    return torch.where((place & ~stops[:, None])[..., None], row_col[:, None], state.fixations)
