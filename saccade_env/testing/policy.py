"""What evaluations and environments rely on in a policy: :func:`check_policy`."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from saccade_env import core
from saccade_env.card import what_it_sees
from saccade_env.classifiers.base import Classifier, Weights
from saccade_env.config import SaccadeConfig
from saccade_env.evaluation.rollout import follow
from saccade_env.images import Spec
from saccade_env.rows import replace_rows, take_rows
from saccade_env.testing.contract import Contract, kind
from saccade_env.testing.material import linear_on, pictures, with_others_hidden
from saccade_env.testing.watched import Watched, WatchedOracle

SHORT = SaccadeConfig(max_saccades=6)


def check_policy(
    policy: core.Policy,
    images: Spec = "sample",
    classifier: Classifier | None = None,
    config: SaccadeConfig = SHORT,
    *,
    may_return: bool = False,
    may_depend_on_hidden: bool = False,
) -> None:
    """Let a policy pass that environments and evaluations can rely on.

    It follows the policy on a few pictures and checks what it answers, that the same pictures give
    the same scanpath in any batch, order and process, that it leaves alone what it is given, that
    it avoids what is inhibited, and that it sees no more than it declares.

    Args:
        policy: Freshly built, on the token grid of the classifier.
        images: See :func:`saccade_env.images.create`; the shipped sample is brought to size.
        classifier: Judges what is revealed; by default a fast one that recognises nothing.
        config: The task; its grid is replaced by the classifier's. A policy that may stop needs
            ``stop_action=True``.
        may_return: It may fixate inhibited cells though others are open, as a person does.
        may_depend_on_hidden: Its scanpath may change with hidden pixels though it declares to see
            none of them: its noise is seeded by the picture, as that of ``random`` is.

    Raises:
        ContractError: It does not keep its contract; the message says what to mend.
        ValueError: Images, classifier and config do not fit one another.
    """
    contract = Contract(f"policy {getattr(policy, 'name', type(policy).__name__)!r}")
    judge = classifier or linear_on(_grid_of(policy, contract))
    _check_attributes(policy, judge, contract)
    trial = Trial(*pictures(images, judge), judge, config.on(judge.grid), contract)
    copy = contract.copied(policy)
    states = trial.states(policy)
    if not may_return:
        _check_inhibition(states, contract)
    _check_repeatable(trial, policy, copy, states[-1].fixations)
    _check_rows(trial, policy, states[-1].fixations)
    _check_running(trial, policy, states)
    if what_it_sees(policy) == "no" and not may_depend_on_hidden:
        _check_sight(trial, policy, states)
    _check_maps(trial, policy)


@dataclass(frozen=True)
class Trial:
    """A few episodes that the policy is followed through, as an evaluation does."""

    images: Tensor
    labels: Tensor
    classifier: Classifier
    config: SaccadeConfig
    contract: Contract

    def watched(self, policy: core.Policy) -> Watched:
        kind_of = WatchedOracle if isinstance(policy, core.Oracle) else Watched
        return kind_of(policy, self.contract, self.config)

    def states(self, policy: core.Policy, images: Tensor | None = None) -> list[core.State]:
        """Before the first saccade and after each."""
        given = self.images.clone() if images is None else images.clone()
        watched = self.watched(policy)
        states = follow(given, self.labels, watched, self.config, self.classifier)
        untouched = torch.equal(given, self.images if images is None else images)
        self.contract.require(untouched, "reset(images) or act(view) changed the images; copy them")
        return states

    def scanpath(self, policy: core.Policy, rows: list[int]) -> Tensor:
        """Of some of the pictures, in this order."""
        some = Trial(
            self.images[rows], self.labels[rows], self.classifier, self.config, self.contract
        )
        return some.states(policy)[-1].fixations

    def same_path(self, found: Tensor, wanted: Tensor, broken: str) -> None:
        """Let scanpaths pass that are the same; ``{gap}`` in the message is where they are not.

        Raises:
            ContractError: They are not.
        """
        apart = (found != wanted).any(-1).nonzero().tolist()
        for row, saccade in apart[:1]:
            places = f"{wanted[row, saccade].tolist()} before, now {found[row, saccade].tolist()}"
            gap = f"row {row}, saccade {saccade}: {places}"
            self.contract.require(False, broken.format(gap=gap))


def _grid_of(policy: Any, contract: Contract) -> tuple[int, int]:
    grid = getattr(policy, "grid", SHORT.grid)
    return contract.two_sides(grid, "grid", "(rows, cols) of the token grid it was made for")


def _check_attributes(policy: Any, judge: Classifier, contract: Contract) -> None:
    name = contract.attribute(policy, "name", str, "the name that reports call it")
    contract.require(bool(name), "name is empty; expected the name that reports call it")
    sees = "True if it looks at the whole picture before choosing, else False"
    contract.attribute(policy, "sees_full_image", bool, sees)
    for method in ("reset(images)", "act(view)"):
        found = getattr(policy, method.partition("(")[0], None)
        contract.require(callable(found), f"it has no method {method}; see saccade_env.Policy")
    if hasattr(policy, "grid"):
        grid, wanted = _grid_of(policy, contract), tuple(judge.grid)
        told = f"grid is {grid}; expected {wanted}, the classifier's: build both for one grid"
        contract.require(grid == wanted, told)
    if getattr(policy, "weights", None) is not None:
        contract.attribute(policy, "weights", Weights, "saccade_env.classifiers.Weights, or None")


def _check_inhibition(states: list[core.State], contract: Contract) -> None:
    for before, after in pairwise(states):
        made = (after.saccades_done > before.saccades_done).nonzero().flatten()
        rows, cols = after.fixations[made, before.saccades_done[made]].unbind(-1)
        closed = before.inhibition[made, rows, cols]
        if closed.any():
            at, place = int(made[closed][0]), [int(rows[closed][0]), int(cols[closed][0])]
            contract.require(
                False,
                f"in episode {at}, saccade {int(before.saccades_done[at])} went to {place}, which "
                "is inhibited, while other cells are open; choose among "
                "saccade_env.core.open_cells(view), or pass may_return=True if returns are meant",
            )


def _check_repeatable(trial: Trial, policy: core.Policy, copy: core.Policy, whole: Tensor) -> None:
    trial.same_path(
        trial.states(copy)[-1].fixations,
        whole,
        "a copy of it took another scanpath on the same pictures ({gap}); let it draw from no "
        "global random stream, but from a generator of its own with a seed",
    )
    trial.same_path(
        trial.states(policy)[-1].fixations,
        whole,
        "after a second reset it took another scanpath on the same pictures ({gap}); reset(images) "
        "must forget earlier episodes and start random generators anew",
    )
    trial.contract.copied(policy)


def _check_rows(trial: Trial, policy: core.Policy, whole: Tensor) -> None:
    for rows in ([len(whole) - 1, 0], [1]):
        trial.same_path(
            trial.scanpath(policy, rows),
            whole[rows],
            f"pictures {rows} of {len(whole)} as a batch took other scanpaths than in the whole "
            "batch ({gap}); each row must depend on its own picture alone: seed noise by the "
            "picture, and normalise over no batch",
        )


def _check_running(trial: Trial, policy: core.Policy, states: list[core.State]) -> None:
    """Started on episodes at different saccades, of which some are others' and in another order."""
    first, later = torch.tensor([0]), states[len(states) // 2]
    mixed = replace_rows(later, first, take_rows(states[0], first))
    backwards = torch.arange(len(trial.labels) - 1, -1, -1)
    chosen = []
    for episodes in (mixed, take_rows(mixed, backwards)):
        watched = trial.watched(policy)
        core.reset_policy(watched, episodes, trial.config, trial.classifier)
        chosen.append(watched.act(core.view(episodes)))
    trial.contract.require(
        torch.equal(chosen[0][backwards], chosen[1]),
        "reset on running episodes, each at its own saccade, it chose "
        f"{chosen[0][backwards].tolist()} in one order and {chosen[1].tolist()} in another; read "
        "view.saccades_done row by row and do not count calls of act",
    )


def _check_sight(trial: Trial, policy: core.Policy, states: list[core.State]) -> None:
    for saccade, state in enumerate(states[:-1]):
        other = with_others_hidden(trial.images, state.revealed, trial.classifier.patch_size)
        known = slice(0, saccade + 1)
        trial.same_path(
            trial.states(policy, other)[-1].fixations[:, known],
            states[-1].fixations[:, known],
            f"saccade {saccade} depends on pixels that are hidden until then ({{gap}}), while "
            "sees_full_image is False; set it True, or periphery to the side in pixels of the "
            "small whole picture that it sees; if they only seed its noise, pass "
            "may_depend_on_hidden=True",
        )


def _check_maps(trial: Trial, policy: core.Policy) -> None:
    if not isinstance(policy, core.HasMaps):
        return
    what, wanted = "saliency_map(images)", (len(trial.images), *trial.config.grid)
    with trial.contract.lending(
        trial.images, what, f"{what} changed the images; copy them"
    ) as given:
        maps = policy.saliency_map(given)
    right = isinstance(maps, Tensor) and maps.is_floating_point() and tuple(maps.shape) == wanted
    trial.contract.require(
        right and bool(maps.isfinite().all()),
        f"saliency_map(images) returned {kind(maps)}; expected finite floats {list(wanted)}: "
        "bring it to the grid by saccade_env.geometry.resize_map(maps, grid)",
    )
