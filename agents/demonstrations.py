"""Demonstrations: what a teacher answers at some saccades of some scanpaths, kept on disk.

A round is one episode of every row of the environment. It depends on the seed and its number, and,
where the teacher is not followed, on the network as it was then: an interrupted collection goes on
with the rounds that are missing. Another training that observes the same or less may read them;
what they were made with is in its card.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from saccade_env.agents.checkpoint import random_states_kept
from saccade_env.core import Policy, View
from saccade_env.evaluation.work import Engine, Tell, here
from saccade_env.files import read_object, remove_temporaries, replacing, write_json

ABOUT = "about.json"
FAR = -1e3  # nats: what a policy that tells no gains did not choose
Predict = Callable[..., tuple[np.ndarray, Any]]


@runtime_checkable
class TellsGains(Protocol):
    """A policy that tells more than where it looks, as those do that try fixations."""

    def gains(self, view: View) -> Float[Tensor, "batch rows cols"]:
        """What each fixation would add to a log-probability, in nats; NaN where it did not try."""


class Round(NamedTuple):
    """Some episodes; every field is [rows, saccades, …]."""

    observations: dict[str, np.ndarray]
    gains: np.ndarray  # float32 [rows, saccades, actions]: see TellsGains
    asked: np.ndarray  # bool: whether the teacher was asked, all rows at once
    masks: np.ndarray  # bool [rows, saccades, actions]: open fixations
    starts: np.ndarray  # bool: whether an episode begins here


class Demonstrations:
    """Rounds in a folder.

    Args:
        folder: Made if it is not there.
        about: What they are of, as plain data; ``about["observation"]`` says what is observed.

    Raises:
        OSError: What describes them is no JSON object.
        ValueError: The folder holds something else, demonstrations of something else, or some that
            observe less.
    """

    def __init__(self, folder: Path, about: dict[str, Any]) -> None:
        self.folder, path = folder, folder / ABOUT
        remove_temporaries(folder)
        if path.exists():
            self.about = _check_same(path, json.loads(json.dumps(about)))
            return
        if folder.exists() and any(folder.iterdir()):
            raise ValueError(f"{folder} holds something else than demonstrations: take another")
        self.about = about
        write_json(path, about)

    def collect(
        self,
        env: Any,
        teacher: Policy,
        steps: int,
        predict: Predict,
        asked: float = 1.0,
        follow: bool = True,
        seed: int = 0,
        progress: bool = True,
        engine: Engine = here,
    ) -> list[Path]:
        """Let the teacher look at pictures; what is there already is not done again.

        Args:
            env: A vector environment on the pictures to learn from, bare or in vector wrappers.
            teacher: Says where to look, by gains (:class:`TellsGains`) or else by ``act``.
            steps: Saccades to see, over all rows and with those that are there, whether the teacher
                is asked or not.
            predict: Looks where the teacher is not followed: observation, state, starts and masks
                to actions and state.
            asked: Share of the saccades at which the teacher is asked; above 0, up to 1.
            follow: Look where the teacher would, where it is asked.
            seed: Of pictures, and of when it is asked.
            progress: Show a progress bar.
            engine: Does the rounds, here or elsewhere; see :mod:`saccade_env.scale`.

        Returns:
            The files of the rounds.

        Raises:
            ValueError: ``asked`` is out of range.
        """
        if not 0 < asked <= 1:
            raise ValueError(f"warm-start.asked must be above 0 and up to 1; got {asked}")
        showing = Showing(env, teacher, predict, asked, follow, seed)
        count = math.ceil(steps / showing.saccades)
        paths = [self.folder / f"{number:05d}.npz" for number in range(count)]
        left = [number for number, path in enumerate(paths) if not path.exists()]
        with tqdm(total=count * showing.saccades, initial=(count - len(left)) * showing.saccades,
                  unit="saccade", desc="demonstrations", disable=not progress) as bar:  # fmt: skip
            for number, found in engine(showing, left, bar.update):
                with replacing(paths[number]) as part:
                    part.write_bytes(found)
        return paths


@dataclass(frozen=True)
class Showing:
    """Rounds by their numbers; see :meth:`Demonstrations.collect`."""

    env: Any
    teacher: Policy
    predict: Predict
    asked: float
    follow: bool
    seed: int

    @property
    def saccades(self) -> int:
        """Of a round, over all rows."""
        return int(self.env.unwrapped.config.max_saccades * self.env.num_envs)

    def __call__(self, numbers: Sequence[int], tell: Tell) -> Iterable[tuple[int, bytes]]:
        """Each round as a file holds it; tells how many saccades were made."""
        for number in numbers:
            with random_states_kept():
                found = _round(self, np.random.default_rng((self.seed, number)))
            tell(self.saccades)
            yield number, _packed(found)


def read(path: Path, keys: list[str]) -> Round:
    """A round, with these observations of those it holds.

    Raises:
        ValueError: The file is damaged.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
            observations = {key: found[f"observation.{key}"] for key in keys}
            return Round(observations, *(found[name] for name in Round._fields[1:]))
    except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} is damaged ({error}): remove it, and it is made again") from error


def _packed(found: Round) -> bytes:
    file = io.BytesIO()
    named: dict[str, Any] = {
        f"observation.{key}": value for key, value in found.observations.items()
    }
    named |= zip(found._fields[1:], found[1:], strict=True)
    np.savez_compressed(file, **named)
    return file.getvalue()


def _round(showing: Showing, generator: np.random.Generator) -> Round:
    env, teacher = showing.env, showing.teacher
    drawn = int(generator.integers(2**31))
    torch.manual_seed(drawn)
    observation, _ = env.reset(seed=drawn)
    env.unwrapped.reset_policy(teacher)
    steps, starts, state = [], np.ones(env.num_envs, bool), None
    for left in reversed(range(env.unwrapped.config.max_saccades)):
        masks = env.action_masks()
        actions, state = showing.predict(observation, state, starts, masks)
        gains = np.full(masks.shape, np.nan, np.float32)
        ask = generator.random() < showing.asked
        if ask:
            gains = _gains(teacher, env, masks.shape)
            actions = np.nanargmax(gains, 1) if showing.follow else actions
        steps.append((observation, gains, np.full(len(masks), ask), masks, starts))
        observation, _, over, _, _ = env.step(actions)
        if over.any() and left:  # a policy may be reset on episodes that are under way
            env.unwrapped.reset_policy(teacher)
        starts = over
    seen, *others = zip(*steps, strict=True)
    observations = {key: np.stack([one[key] for one in seen], 1) for key in seen[0]}
    return Round(observations, *(np.stack(other, 1) for other in others))


def _gains(teacher: Policy, env: Any, shape: tuple[int, ...]) -> np.ndarray:
    """What the teacher tells of each action, [rows, actions]; NaN where it tells nothing."""
    view = env.unwrapped.view
    if not isinstance(teacher, TellsGains):
        found = np.full(shape, np.float32(FAR))
        np.put_along_axis(found, teacher.act(view).cpu().numpy()[:, None], 0, 1)
        return found
    told = teacher.gains(view).flatten(1).cpu().numpy().astype(np.float32)
    alone = np.isfinite(told).sum(1, keepdims=True) == 1  # then it is a choice
    told = np.where(alone & np.isnan(told), np.float32(FAR), told)
    stops = np.full((len(told), shape[1] - told.shape[1]), np.float32(np.nan))
    return np.concatenate((told, stops), 1)


def _check_same(path: Path, about: dict[str, Any]) -> dict[str, Any]:
    """What the demonstrations there are of, if that is what is asked for."""
    kept = read_object(path)
    for key in sorted((kept.keys() | about.keys()) - {"observation"}):
        if kept.get(key) != about.get(key):
            raise ValueError(
                f"{path.parent} holds demonstrations with another {_difference(kept, about, key)}; "
                "give another folder"
            )
    observed = dict(kept.get("observation") or {})
    for key, value in about["observation"].items():
        if value and value != observed.get(key):
            raise ValueError(
                f"the demonstrations in {path.parent} were made with {key} {observed.get(key)}, "
                f"not {value}: what is observed may only be less"
            )
    return kept


def _difference(kept: dict[str, Any], about: dict[str, Any], key: str) -> str:
    """Of what is nested, the first part that differs."""
    one, other = kept.get(key), about.get(key)
    if isinstance(one, dict) and isinstance(other, dict):
        part = next(k for k in one | other if one.get(k) != other.get(k))
        return f"{key}, {part}: {one.get(part)}, not {other.get(part)}"
    return f"{key}: {one}, not {other}"
