"""Models that Stable-Baselines3 saved, as policies; and out of its format into ours.

SB3's zip files are pickles, and loading one executes what it holds: :func:`load_sb3` and
:func:`export` refuse unless they are told that the file is trusted. :func:`export` turns it into
our format, which executes nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from saccade_env.agents.files import OBSERVATION, check, save_agent
from saccade_env.agents.hyperparameters import algorithm
from saccade_env.agents.net import TokenGridNet
from saccade_env.agents.policy import AgentPolicy, Grid, MakePrior, Network, observing_of
from saccade_env.agents.sb3_policies import Sb3Network
from saccade_env.classifiers.base import Weights
from saccade_env.classifiers.weights_file import check_tensors, fill, sha256
from saccade_env.files import read_object

CARD, MODEL, BEST = "card.json", "model.zip", "best.zip"


def load_sb3(
    path: str | Path,
    grid: Grid | None = None,
    make_prior: MakePrior | None = None,
    device: str | torch.device = "cpu",
    stops: bool = False,
    trust: bool = False,
) -> AgentPolicy:
    """Load a model that Stable-Baselines3 saved. It is unpickled, which executes what it holds.

    Args:
        path: The zip, or the folder with ``model.zip``; ``card.json`` must be beside it.
        grid: The classifier's; None means the one it was trained on. An LSTM knows no other.
        make_prior: Builds the policy of that name, for agents that observe a saliency map.
        device: Where the network runs.
        stops: Let it stop, if it has learned to.
        trust: Say that you trust the file. Without it nothing is read.

    Raises:
        FileNotFoundError: A file is missing.
        OSError: The card is no JSON object.
        ValueError: ``trust`` is not set, the zip cannot be loaded, or the card is incomplete or
            does not fit the grid.
        WeightsError: A weight is NaN or infinite.
    """
    zipped, card, model = _read_sb3(Path(path), device, trust)
    trained = Sb3Network(model)
    here, where = grid or trained.net.grid, str(zipped.with_name(CARD))
    observing, prior = observing_of(
        card["observation"], here, trained.net.patch_size, make_prior, device, where
    )
    net: Network = trained
    if not trained.recurrent:
        own = trained.net
        space = observing.space(own.budget)
        net = TokenGridNet(space, own.channels, own.blocks, own.stop_action, own.embedding)
        net = fill(net, own.state_dict(), str(zipped)).to(device)
    elif here != trained.net.grid:
        raise ValueError(f"{zipped} knows only the grid {trained.net.grid}; got {here}")
    weights = Weights(str(zipped), sha256(zipped))
    return AgentPolicy(net, observing, _name(zipped, card), prior, stops, weights)


def export(source: str | Path, folder: str | Path, trust: bool = False) -> Path:
    """Write an SB3 model in our own format, named as the folder.

    Args:
        source: As ``path`` of :func:`load_sb3`; it is unpickled.
        folder: Made if it is not there.
        trust: Say that you trust the source. Without it nothing is read.

    Returns:
        The folder.

    Raises:
        ValueError: The model is recurrent, for which our format has no place; or as
            :func:`load_sb3`, whose other errors are raised too.
    """
    path, card, model = _read_sb3(Path(source), "cpu", trust)
    trained = Sb3Network(model)
    if trained.recurrent:
        raise ValueError("a recurrent agent has no place in our format: evaluate its zip instead")
    if path.name == BEST and (best := card.get("best")):
        card |= {"evaluation": best, "steps": best["timesteps"]}
    return save_agent(trained.net, folder, Path(folder).resolve().name, card["observation"], card)


def _read_sb3(
    path: Path, device: str | torch.device, trust: bool
) -> tuple[Path, dict[str, Any], Any]:
    """The zip, its card and the model, unpickled."""
    zipped = path / MODEL if path.is_dir() else path
    if not trust:
        raise ValueError(
            f"{zipped} is a pickle, and reading it executes what it holds. If you trust it, say "
            f"trust=True, on the command line --policy sb3:{path}; exported agents need no trust"
        )
    where = zipped.with_name(CARD)
    for needed in (zipped, where):
        if not needed.is_file():
            raise FileNotFoundError(f"there is no {needed}; a model has its {CARD} beside it")
    card = read_object(where)
    if missing := {"algo", "observation"} - card.keys():
        raise ValueError(f"{where} lacks {sorted(missing)}; it has {sorted(card)}")
    check(card["observation"], OBSERVATION, f"{where}, 'observation'")
    made = algorithm(str(card["algo"]))
    try:
        model = made.load(zipped, device=device)
    except Exception as error:  # whatever a damaged pickle, or one of another version, raises
        raise ValueError(
            f"{zipped} cannot be loaded as {card['algo']!r}; it is damaged, or of other versions "
            f"than are installed ({type(error).__name__}: {error})"
        ) from error
    state = model.policy.state_dict()
    check_tensors(state, state, str(zipped))
    return zipped, card, model


def _name(zipped: Path, card: dict[str, Any]) -> str:
    own = zipped.absolute()
    return str(card.get("name") or (own.parent.name if own.name in (MODEL, BEST) else own.stem))
