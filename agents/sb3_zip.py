"""Models that Stable-Baselines3 saved, as policies; and out of its format into ours.

SB3's zip files are pickles, and loading one executes what it holds: :func:`load_sb3` is for files
you trust, and :func:`export` turns them into our format, which executes nothing.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import torch

from saccade_env.agents.files import check_observation, fill, read_json, save_agent
from saccade_env.agents.net import TokenGridNet
from saccade_env.agents.policy import AgentPolicy, Grid, MakePrior, observing_of
from saccade_env.classifiers.base import Weights
from saccade_env.classifiers.weights_file import sha256

__all__ = ["AgentPolicy", "export", "load_sb3", "save_agent"]

CARD, MODEL, BEST = "card.json", "model.zip", "best.zip"


def load_sb3(
    path: str | Path,
    grid: Grid | None = None,
    make_prior: MakePrior | None = None,
    device: str | torch.device = "cpu",
    stops: bool = False,
) -> AgentPolicy:
    """Load a model that Stable-Baselines3 saved. It is unpickled: trust it.

    Args:
        path: The zip, or the folder with ``model.zip``; ``card.json`` must be beside it.
        grid: The classifier's; None means the one it was trained on. An LSTM knows no other.
        make_prior: Builds the policy of that name, for agents that observe a saliency map.
        device: Where the network runs.
        stops: Let it stop, if it has learned to.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: The card is incomplete, or does not fit the grid.
    """
    zipped, card, model = _read_sb3(Path(path), device)
    here = grid or _grid_of(model)
    space = model.observation_space
    patch_size = round((space["tokens"].shape[-1] / 3) ** 0.5)
    observing, prior = observing_of(card["observation"], here, patch_size, make_prior, device)
    rest = (_name(zipped, card), prior, stops, device, Weights(str(zipped), sha256(zipped)))
    budget = int(space["saccades_left"].high[0])
    if card["algo"] == "recurrent-ppo":
        from saccade_env.agents.sb3_recurrent import LstmNet

        if here != _grid_of(model):
            raise ValueError(f"{zipped} knows only the grid {_grid_of(model)}; got {here}")
        return AgentPolicy(LstmNet(model.policy), observing, *rest)
    from saccade_env.agents.sb3_policies import token_grid_net

    trained = token_grid_net(model)
    net = TokenGridNet(
        observing.space(budget), trained.channels, trained.blocks, trained.stop_action
    )
    fill(net, trained.state_dict(), str(zipped))
    return AgentPolicy(net, observing, *rest)


def export(source: str | Path, folder: str | Path) -> Path:
    """Write an SB3 model in our own format, named as the folder. It is unpickled first: trust it.

    Returns:
        The folder.

    Raises:
        ValueError: The model is recurrent, for which our format has no place.
    """
    from saccade_env.agents.sb3_policies import token_grid_net

    path, card, model = _read_sb3(Path(source), "cpu")
    if card["algo"] == "recurrent-ppo":
        raise ValueError("a recurrent agent has no place in our format: evaluate its zip instead")
    if path.name == BEST and (best := card.get("best")):
        card |= {"evaluation": best, "steps": best["timesteps"]}
    name = Path(folder).resolve().name
    described = {"name": name, "observation": card["observation"], "card": card}
    return save_agent(token_grid_net(model), folder, described)


def _read_sb3(path: Path, device: str | torch.device) -> tuple[Path, dict[str, Any], Any]:
    """The zip, its card and the model, unpickled."""
    from saccade_env.agents.hyperparameters import algorithm

    zipped = path / MODEL if path.is_dir() else path
    if not zipped.is_file():
        raise FileNotFoundError(f"there is no model {zipped}")
    where = zipped.with_name(CARD)
    card = read_json(where, f"the model {zipped.name}")
    if missing := {"algo", "observation"} - card.keys():
        raise ValueError(f"{where} lacks {sorted(missing)}; it has {sorted(card)}")
    card["observation"] = check_observation(card["observation"], str(where))
    try:
        return zipped, card, algorithm(card["algo"]).load(zipped, device=device)
    except (ValueError, KeyError, AssertionError, zipfile.BadZipFile) as error:
        raise ValueError(f"{zipped} cannot be loaded as {card['algo']!r}: {error}") from error


def _grid_of(model: Any) -> Grid:
    rows, cols = (model.observation_space["fixation"].high + 1).tolist()
    return int(rows), int(cols)


def _name(zipped: Path, card: dict[str, Any]) -> str:
    own = zipped.absolute()
    return str(card.get("name") or (own.parent.name if own.name in (MODEL, BEST) else own.stem))
