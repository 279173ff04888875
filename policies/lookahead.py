"""Looking ahead without a label: imagines a few fixations, and makes the one that agrees best.

The *eye* sees a picture: the whole image, or one that is sharp where tokens are revealed and
blurred elsewhere. What the classifier believes of it is to be found again in what is revealed
alone; where it sees that is what each cell promises. Before a saccade the windows that promise most
are revealed one by one, each in the eye's picture, so that nothing is looked at that the eye does
not see. No label is used: what an oracle is ahead by is what the label is worth.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, get_args

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor
from torch.nn import functional as F

from saccade_env import core, geometry
from saccade_env.classifiers.base import Classifier, Convolutional
from saccade_env.classifiers.vit.classifier import VitClassifier
from saccade_env.config import SaccadeConfig
from saccade_env.errors import unknown_name
from saccade_env.observe.activation import blur, foveate, logits_and_activation, scaled
from saccade_env.observe.eye import WHOLE
from saccade_env.policies.attention_maps import logits_and_attention
from saccade_env.policies.base import trying
from saccade_env.rows import take_rows

Agrees = Literal["top", "cross-entropy"]
_STEPS = 2**20  # of a promise, see _Glance


class _Glance(NamedTuple):
    """What the classifier makes of the eye's pictures; float64 on the CPU, as not all devices can.

    A promise is a whole number, so that sums are exact: windows that would reveal the same promise
    the same, whatever the batch.
    """

    memory: Any  # the classifier's, of the eye's pictures
    goal: Float[Tensor, "batch classes"]  # sums to 1
    promise: Float[Tensor, "batch rows cols"]  # ≥ 0


class _Episodes(NamedTuple):
    """What is kept of them: no label."""

    sharp: UInt8[Tensor, "batch 3 height width"]  # without their pixels if the eye sees the image
    blurred: UInt8[Tensor, "batch 3 height width"]
    fovea: int
    judge: Classifier
    glance: _Glance | None  # the only one, if the eye sees the image


class LookaheadPolicy:
    """Tries the most promising fixations, and makes the one after which it agrees with its eye.

    What a window promises is summed over those of its tokens that are hidden: class activation
    (:mod:`saccade_env.observe.activation`) for a convolutional classifier, for a transformer the
    attention to the patches in its last layer, both of the eye's picture and scaled to 0…1. The
    window of the highest promise is tried, then the highest that does not overlap those, and so on.
    Where no token is hidden any more, it looks at the first open one.

    It costs ``k`` forwards a saccade, and one for what the eye sees: at each saccade, or once if
    that is the image (see :attr:`forwards`).

    Args:
        k: Fixations tried before each saccade, at least 1. With 1 nothing is tried: it follows what
            promises most.
        eye: ``"image"``, or the side in pixels of the small whole picture that it sees beside what
            is revealed: at least 1, and at most half of the image's side.
        agrees: ``"top"``: by the probability of the class that the eye believes in;
            ``"cross-entropy"``: by the negative cross-entropy with all that it believes.
        batch_size: Fixations tried per forward, at least 1; changes no result. A CPU is fastest
            with few, a GPU with many.
        classifier: Looks ahead with this one; by default with the one that judges the episodes.
            A KV cache is always left out.
        grid: Token grid (rows, cols) of the classifier.
        device: Taken as every policy's is, and not needed: it computes where the classifier is.

    Attributes:
        sees_full_image: Whether its eye is ``"image"``.

    Raises:
        ValueError: A value is out of range.
    """

    name = "lookahead"
    sees_label = False

    def __init__(
        self,
        k: int = 5,
        eye: int | Literal["image"] = WHOLE,
        agrees: Agrees = "top",
        batch_size: int = 16,
        *,
        classifier: Classifier | None = None,
        grid: tuple[int, int] = (14, 14),
        device: str | torch.device = "cpu",
    ) -> None:
        if agrees not in get_args(Agrees):
            raise unknown_name("agrees", str(agrees), get_args(Agrees))
        for name, value in (("k", k), ("batch_size", batch_size)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a whole number ≥ 1; got {value!r}")
        if eye != WHOLE and (not isinstance(eye, int) or eye < 1):
            raise ValueError(f"eye must be {WHOLE!r} or a whole number of pixels ≥ 1; got {eye!r}")
        self.k, self.eye, self.agrees, self.grid = k, eye, agrees, grid
        self.sees_full_image = eye == WHOLE
        self._batch_size, self._judge = batch_size, classifier
        self._episodes: _Episodes | None = None
        if classifier is not None:
            self.weights = classifier.weights

    @property
    def periphery(self) -> int:
        """Side in pixels of the small whole picture that it sees, 0 if it sees the image."""
        return 0 if isinstance(self.eye, str) else self.eye

    @property
    def forwards(self) -> int:
        """Pictures that the classifier sees before each saccade, beside the image at the start."""
        return (self.k if self.k > 1 else 0) + (not self.sees_full_image)

    def reset(self, images: UInt8[Tensor, "batch 3 height width"]) -> None:
        """Refuse images alone: see :meth:`reset_seeing`.

        Raises:
            TypeError: Always.
        """
        raise TypeError(
            f"policy {self.name!r} asks the classifier, so images are not enough: start it "
            "with env.unwrapped.reset_policy(policy), or use evaluation or rendering.record"
        )

    def reset_seeing(
        self, state: core.State, config: SaccadeConfig, classifier: Classifier
    ) -> None:
        """Take in a batch of running episodes; their labels are not looked at.

        Raises:
            FloatingPointError: The classifier gave NaN or infinity.
            ValueError: The grid is another, the eye too sharp, or the classifier does not tell
                where it sees what it believes.
        """
        judge, sharp = trying(self._judge or classifier, self, config.grid), state.images
        self._check_eye(sharp)
        blurred, glance = sharp, None
        if self.periphery:
            blurred = blur(sharp, self.periphery)
        else:
            memory = state.memory if judge is classifier else judge.begin(sharp)
            glance = self._glance(judge, sharp, memory)
            sharp = blurred = sharp[..., :0, :0]
        self._episodes = _Episodes(sharp, blurred, config.fovea, judge, glance)

    def act(self, view: core.View) -> Int[Tensor, " batch"]:
        """Token index of the fixation that agrees best; ties go to the first.

        Raises:
            FloatingPointError: The classifier gave NaN or infinity.
            RuntimeError: There was no reset.
            ValueError: The view is of another number of episodes.
        """
        return self.scores(view).flatten(1).argmax(-1).to(view.revealed.device)

    def scores(self, view: core.View) -> Float[Tensor, "batch rows cols"]:
        """How well each fixation would agree, float64 on the CPU; −∞ where it was not tried.

        It is Σ g · log p over the classes, ≤ 0: p what the classifier would make of all that is
        then revealed, g the class that the eye believes in or its probabilities. With ``k=1`` it is
        0, and nothing is tried.
        """
        return self._tried(view)[0]

    def gains(self, view: core.View) -> Float[Tensor, "batch rows cols"]:
        """How much better than now each fixation would agree, in nats; NaN where it was not tried.

        Float64 on the CPU.
        """
        scores, goal = self._tried(view)
        now = (goal * view.logits.cpu().double().log_softmax(-1)).sum(-1)
        return torch.where(scores.isfinite(), scores - now[:, None, None], torch.nan)

    @torch.no_grad()
    def _tried(
        self, view: core.View
    ) -> tuple[Float[Tensor, "batch rows cols"], Float[Tensor, "batch classes"]]:
        """The scores, and what they agree with."""
        episodes, revealed = self._begun(view), view.revealed.cpu()
        glance = episodes.glance or self._look(episodes, revealed)
        tried = promising(
            glance.promise, revealed, core.open_cells(view).cpu(), episodes.fovea, self.k
        )
        scores = torch.full(tried.shape, -torch.inf, dtype=torch.float64)
        if self.k == 1:
            return scores.masked_fill(tried, 0), glance.goal
        rows, fixations = tried.flatten(1).nonzero().unbind(-1)
        agreed = [
            _agreement(episodes, glance, revealed, *part)
            for part in zip(
                rows.split(self._batch_size), fixations.split(self._batch_size), strict=True
            )
        ]
        return scores.masked_scatter(tried, torch.cat(agreed)), glance.goal

    def _look(self, episodes: _Episodes, revealed: Tensor) -> _Glance:
        """What an eye that does not see the image sees now."""
        judge = episodes.judge
        picture = foveate(episodes.sharp, episodes.blurred, revealed, judge.patch_size)
        return self._glance(judge, picture, judge.begin(picture))

    @torch.no_grad()
    def _glance(self, judge: Classifier, picture: Tensor, memory: Any) -> _Glance:
        logits, maps = what_it_finds(judge, picture)
        goal = core.check_logits(logits.cpu(), judge).double().softmax(-1)
        if self.agrees == "top":
            goal = F.one_hot(goal.argmax(-1), goal.shape[1]).double()
        if not torch.isfinite(maps).all():
            raise FloatingPointError(f"classifier {judge.name!r} gave a map with NaN or infinity")
        return _Glance(memory, goal, (scaled(maps.cpu().double()) * _STEPS).round())

    def _check_eye(self, images: Tensor) -> None:
        if 2 * self.periphery > (side := min(images.shape[2:])):
            raise ValueError(
                f"eye must be at most half of the image's {side} pixels, or {WHOLE!r}, which sees "
                f"all of it; got {self.eye}"
            )

    def _begun(self, view: core.View) -> _Episodes:
        if self._episodes is None:
            raise RuntimeError(f"policy {self.name!r}: it must be reset before act(view)")
        if (given := len(view.revealed)) != (known := len(self._episodes.sharp)):
            raise ValueError(f"policy {self.name!r} was reset on {known} episodes; got {given}")
        return self._episodes


def what_it_finds(
    judge: Classifier, images: UInt8[Tensor, "batch 3 height width"]
) -> tuple[Float[Tensor, "batch classes"], Float[Tensor, "batch rows cols"]]:
    """Logits of whole pictures, and where a classifier finds what it believes: one forward.

    Raises:
        ValueError: It does not tell where.
    """
    if isinstance(judge, VitClassifier):
        return logits_and_attention(judge, images)
    # The second, as what properties raise is not looked at by every Python's isinstance.
    if isinstance(judge, Convolutional) and hasattr(judge, "class_weights"):
        return logits_and_activation(judge, images)
    raise ValueError(
        "policy 'lookahead' needs a classifier that tells where it sees something: a transformer, "
        f"or a convolutional one such as 'efficientnet_lite0'; {judge.name!r} does not"
    )


def promising(
    promise: Float[Tensor, "batch rows cols"],
    revealed: Bool[Tensor, "batch rows cols"],
    cells: Bool[Tensor, "batch rows cols"],
    fovea: int,
    k: int,
) -> Bool[Tensor, "batch rows cols"]:
    """The fixations whose windows promise most, none overlapping another: 1 to ``k`` a row.

    Args:
        promise: Of each cell; a window's is the sum over those that are hidden.
        revealed: What is not hidden.
        cells: Where one may look. Where all of these are revealed, the first is taken.
        fovea: Side of a window in tokens, odd.
        k: At least 1.
    """
    grid = (promise.shape[1], promise.shape[2])
    windows = geometry.fovea_windows(grid, fovea, promise.device).flatten(1)
    # Two windows share a cell, clipped or not, where their centres are less than a fovea apart.
    overlapping = geometry.fovea_windows(grid, 2 * fovea - 1, promise.device).flatten(1)
    worth = (promise * ~revealed).flatten(1) @ windows.T.to(promise.dtype)
    cells, left = cells.flatten(1), (cells & ~revealed).flatten(1)
    left = torch.where(left.any(-1)[:, None], left, cells & (cells.cumsum(-1) == 1))
    tried, every = torch.zeros_like(left), torch.arange(len(left))
    for _ in range(k):
        best = worth.masked_fill(~left, -torch.inf).argmax(-1)
        tried[every, best] |= left[every, best]  # false once none is left
        left = left & ~overlapping[best]
    return tried.reshape(revealed.shape)


def _agreement(
    episodes: _Episodes,
    glance: _Glance,
    revealed: Bool[Tensor, "batch rows cols"],
    rows: Int[Tensor, " some"],
    fixations: Int[Tensor, " some"],
) -> Float[Tensor, " some"]:
    """How well one saccade of each of these rows, which may come more than once, would agree."""
    judge = episodes.judge
    windows = geometry.fovea_windows(judge.grid, episodes.fovea, revealed.device)
    then = revealed[rows] | windows[fixations]
    logits, _ = judge.classify(take_rows(glance.memory, rows), then)
    # The difference of float32 logits is within what float64 holds, so that 0 · log p is 0.
    log_p = core.check_logits(logits.cpu(), judge).double().log_softmax(-1)
    return (glance.goal[rows] * log_p).sum(-1)
