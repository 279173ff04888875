"""What wrappers and agents rely on in an observer: :func:`check_observer`."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from saccade_env import core
from saccade_env.classifiers.base import Classifier
from saccade_env.config import SaccadeConfig
from saccade_env.images import Spec
from saccade_env.observe.observers import Observer, observe_one
from saccade_env.observe.tokens import observe, patches
from saccade_env.rows import replace_rows, take_rows
from saccade_env.spaces import Observation, observation_space
from saccade_env.testing.contract import Contract, kind
from saccade_env.testing.material import linear_on, pictures, with_others_hidden

SHORT = SaccadeConfig(max_saccades=3)


def check_observer(
    observer: Observer,
    images: Spec = "sample",
    classifier: Classifier | None = None,
    tolerance: float = 1e-5,
    *,
    may_depend_on_hidden: bool = False,
) -> None:
    """Let an observer pass that the wrappers of both environments can use.

    Args:
        observer: See :class:`saccade_env.observe.observers.Observer`.
        images: See :func:`saccade_env.images.create`; the shipped sample is brought to size.
        classifier: Judges what is revealed; by default a fast one on 14 × 14 tokens.
        tolerance: Of numbers that should be the same; whole numbers may differ by one.
        may_depend_on_hidden: It shows more than what is revealed, as a periphery or a map does.

    Raises:
        ContractError: It does not keep its contract; the message says what to mend.
        ValueError: Images and classifier do not fit each other.
    """
    contract = Contract(f"observer {type(observer).__name__}")
    contract.require(
        isinstance(observer, Observer),
        "it is no Observer; derive it from saccade_env.observe.observers.Observer",
    )
    judge = classifier or linear_on(SHORT.grid)
    given, labels = pictures(images, judge)
    trial = Trial(contract.copied(observer), given, judge, contract, tolerance)
    space = trial.space()
    states = trial.states(given, labels)
    shown = _check_kept(trial, states)
    for state, seen in zip(states, shown, strict=True):
        _check_contained(seen, space, len(given), contract)
        _check_rows(trial, state, seen)
        trial.same(trial.shown(state), seen, "the same episodes showed something else later")
    _check_replaced(trial, states, shown)
    if not may_depend_on_hidden:
        _check_hidden(trial, states, labels, shown)


@dataclass(frozen=True)
class Trial:
    """A few episodes, and what is shown of them."""

    observer: Observer
    images: Tensor
    classifier: Classifier
    contract: Contract
    tolerance: float

    @property
    def config(self) -> SaccadeConfig:
        return SHORT.on(self.classifier.grid)

    def space(self) -> spaces.Space[Any]:
        single = observation_space(self.config, self.classifier.patch_size)
        unknown = [key for key in self.observer.needs if key not in single.spaces]
        told = f"needs is {self.observer.needs!r}; expected a tuple of names among {[*single]}"
        self.contract.require(isinstance(self.observer.needs, tuple) and not unknown, told)
        with self.contract.doing("space(single)"):
            space = self.observer.space(single)
        told = f"space(single) returned {kind(space)}; expected a space of Gymnasium"
        self.contract.require(isinstance(space, spaces.Space), told)
        return space

    def states(self, images: Tensor, labels: Tensor) -> list[core.State]:
        """Before the first saccade and after each, each row at a place of its own."""
        count, tokens = len(images), self.config.num_tokens
        draw = torch.Generator().manual_seed(0)
        state = core.begin(images, labels, torch.arange(count), self.config, self.classifier)
        states = [state]
        for _ in range(self.config.max_saccades):
            fixation = torch.randint(tokens, (count,), generator=draw)
            state, _ = core.saccade(state, fixation, self.config, self.classifier)
            states.append(state)
        return states

    def fixed(self, images: Tensor) -> Any:
        what = f"fixed(images) on {kind(images)}"
        changed = "fixed(images) changed the images in place; copy them"
        with self.contract.lending(images, what, changed) as given:
            found = self.observer.fixed(given)
        return found

    def shown(self, state: core.State, fixed: Any = None) -> Any:
        """What is observed of a batch; of what the pictures fix, or of ``fixed``."""
        fixed = self.fixed(state.images) if fixed is None else fixed
        now, plain = self.now(state, fixed), self.plain(state)
        before = {key: value.copy() for key, value in plain.items()}
        with self.contract.doing("observer(observation, now)"):
            shown = self.observer(plain, now)
        same = [*plain] == [*before] and all(np.array_equal(plain[k], before[k]) for k in before)
        told = "it changed the observation it was given; return another: {**observation, …}"
        self.contract.require(same, told)
        return shown

    def now(self, state: core.State, fixed: Any) -> np.ndarray:
        with self.contract.doing("now(view, fixed)"):
            found = self.observer.now(core.view(state), fixed)
        rows = len(state.labels)
        told = f"now(view, fixed) returned {kind(found)}; expected a NumPy array of {rows} rows"
        self.contract.require(isinstance(found, np.ndarray) and found.shape[:1] == (rows,), told)
        return found

    def plain(self, state: core.State) -> Observation:
        tokens = patches(state.images, self.classifier.patch_size)
        return observe(state, lambda revealed: np.where(revealed[..., None], tokens, np.uint8(0)))

    def same(self, found: Any, wanted: Any, broken: str) -> None:
        for key, left, right in _parts(found, wanted):
            whole = np.issubdtype(right.dtype, np.integer)
            allowed = 1 if whole else self.tolerance * max(1.0, float(np.abs(right).max(initial=0)))
            gap = float(np.abs(left.astype(float) - right.astype(float)).max(initial=0))
            self.contract.require(gap <= allowed, f"{broken} ({key}by up to {gap:.2g})")


def _parts(found: Any, wanted: Any) -> list[tuple[str, np.ndarray, np.ndarray]]:
    if isinstance(wanted, dict):
        return [(f"{key!r} ", np.asarray(found[key]), np.asarray(wanted[key])) for key in wanted]
    return [("", np.asarray(found), np.asarray(wanted))]


def _at(shown: Any, rows: Any) -> Any:
    return {k: v[rows] for k, v in shown.items()} if isinstance(shown, dict) else shown[rows]


def _check_contained(shown: Any, space: spaces.Space[Any], count: int, contract: Contract) -> None:
    for row in range(count):
        with contract.doing(f"row {row} of what it returned", "batch first, for every part"):
            one = _at(shown, row)
        if space.contains(one):
            continue
        told = f"what it shows is {_told(one)}; expected what space(single) promises, {space}"
        contract.require(False, f"{told}: of the same shape and dtype, and within its bounds")


def _told(one: Any) -> str:
    if isinstance(one, dict):
        return ", ".join(f"{key} {_told(value)}" for key, value in one.items())
    numbers = isinstance(one, np.ndarray) and one.size and one.dtype.kind in "fiub"
    return kind(one) + (f" from {one.min()} to {one.max()}" if numbers else "")


def _check_rows(trial: Trial, state: core.State, shown: Any) -> None:
    for row in range(len(state.labels)):
        alone = take_rows(state, torch.tensor([row]))
        now = trial.now(alone, trial.fixed(alone.images))
        plain = {key: value[0] for key, value in trial.plain(alone).items()}
        told = f"row {row} shows something else alone than in its batch; each row must depend on "
        trial.same(
            observe_one(trial.observer, plain, now), _at(shown, row), f"{told}its own episode alone"
        )


def _check_kept(trial: Trial, states: list[core.State]) -> list[Any]:
    """What is shown of each state stays so, whatever is shown later: learners keep it."""
    shown: list[Any] = []
    kept: list[Any] = []
    for state in states:
        shown.append(trial.shown(state))
        kept.append(copy.deepcopy(shown[-1]))
    for seen, before in zip(shown, kept, strict=True):
        same = all(np.array_equal(left, right) for _, left, right in _parts(seen, before))
        told = "an observation of an earlier step changed later; return fresh arrays: now.copy()"
        trial.contract.require(same, told)
    return kept


def _check_replaced(trial: Trial, states: list[core.State], shown: list[Any]) -> None:
    """An episode that begins anew in a running batch, as in vector environments."""
    first, last = torch.tensor([0]), torch.tensor([len(trial.images) - 1])
    mend = "it must hold tensors, batch first, or nested tuples, lists and dicts of them"
    with trial.contract.doing("taking and replacing rows of fixed(images)", mend):
        fresh = trial.fixed(trial.images[last])
        fixed = replace_rows(trial.fixed(trial.images), first, fresh)
    mixed = replace_rows(states[-1], first, take_rows(states[0], last))
    found = trial.shown(mixed, fixed)
    told = "after a row was replaced by a fresh episode, it shows something else than that episode "
    trial.same(_at(found, 0), _at(shown[0], -1), f"{told}on its own; keep nothing but in fixed")
    told = "after another row was replaced, a row shows something else"
    rest = slice(1, None)
    trial.same(_at(found, rest), _at(shown[-1], rest), f"{told}; keep nothing but in fixed")


def _check_hidden(trial: Trial, states: list[core.State], labels: Tensor, shown: list[Any]) -> None:
    for saccade, state in enumerate(states):
        other = with_others_hidden(trial.images, state.revealed, trial.classifier.patch_size)
        there = replace(trial, images=other).states(other, labels)[saccade]
        told = f"after {saccade} saccades it shows something of pixels that are hidden; read the "
        mend = "observation and the view alone, or pass may_depend_on_hidden=True"
        trial.same(trial.shown(there), shown[saccade], f"{told}{mend} and say so in its docs")
