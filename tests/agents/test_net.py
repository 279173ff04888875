"""The network on the token grid: shapes, grids, what it depends on, and SB3's forms of input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from small_cnns import small_cnn
from stable_baselines3.common.preprocessing import preprocess_obs
from torch import Tensor

from saccade_env.agents.net import TokenGridNet
from saccade_env.agents.observation import Observing
from saccade_env.observe.eye import Eye
from saccade_env.observe.sight import standardised
from saccade_env.policies.simple import CentrePolicy

Grid = tuple[int, int]
ALL = {"periphery": 8, "belief": 5}
EYE = Eye(small_cnn())


def space_of(grid: Grid = (5, 6), patch: int = 4, budget: int = 10, **extras: Any) -> spaces.Dict:
    return Observing(grid, patch, prior=CentrePolicy(grid=grid), **{**ALL, **extras}).space(budget)


def sample(space: spaces.Dict, batch: int = 3) -> dict[str, np.ndarray]:
    space.seed(0)
    rows = [space.sample() for _ in range(batch)]
    return {key: np.stack([row[key] for row in rows]) for key in space.spaces}


def tensors(observation: dict[str, np.ndarray]) -> dict[str, Tensor]:
    return {key: torch.as_tensor(value) for key, value in observation.items()}


def build(space: spaces.Dict, **keywords: Any) -> TokenGridNet:
    torch.manual_seed(0)
    return TokenGridNet(space, **keywords).eval()


def excite(net: TokenGridNet) -> TokenGridNet:
    """Logits that differ visibly, as after training."""
    torch.nn.init.normal_(net.cell.weight)
    return net


@pytest.mark.parametrize("extras", [{}, {"periphery": 0}, {"belief": 0}])
@pytest.mark.parametrize("stop", [False, True])
def test_shapes_and_size(extras: dict[str, int], stop: bool) -> None:
    space = space_of(**extras)
    net = build(space, stop_action=stop)
    logits, value = net(tensors(sample(space)))
    assert logits.shape == (3, 30 + stop) == (3, net.num_actions)
    assert value.shape == (3,)
    assert net.features(tensors(sample(space))).shape == (3, 64, 5, 6)


def test_the_default_is_small_and_starts_undecided() -> None:
    space = space_of((14, 14), 16, periphery=32)
    net = build(space)
    assert sum(p.numel() for p in net.parameters()) < 500_000
    logits, _ = net(tensors(sample(space)))
    assert logits.std() < 0.1  # exploration starts everywhere


@pytest.mark.parametrize("grid", [(16, 16), (18, 24), (28, 28), (1, 7)])
def test_the_same_weights_run_on_other_grids(grid: Grid) -> None:
    trained = excite(build(space_of((14, 14))))
    space = space_of(grid, budget=4)
    other = build(space)
    other.load_state_dict(trained.state_dict())
    logits, _ = other(tensors(sample(space)))
    assert logits.shape == (3, grid[0] * grid[1])
    assert logits.isfinite().all()


def test_a_cell_moves_its_own_logit_most() -> None:
    """Row-major: what is seen in a cell reaches that cell's logit, not a transposed one."""
    space = space_of((5, 9), periphery=0, belief=0)
    net = excite(build(space, blocks=0))  # nothing but the cell itself, and GroupNorm's statistics
    observation = tensors(sample(space, 1))
    observation["revealed"] = torch.ones(1, 45)
    changed = {**observation, "tokens": observation["tokens"].clone()}
    changed["tokens"][0, 9 * 3 + 7] = 255 - changed["tokens"][0, 9 * 3 + 7]
    difference = (net(observation)[0] - net(changed)[0]).abs()[0]
    assert difference.argmax() == 9 * 3 + 7


def test_hidden_tokens_are_not_seen() -> None:
    space = space_of()
    net, observation = excite(build(space)), tensors(sample(space))
    hidden = observation["revealed"] == 0
    other = {**observation, "tokens": observation["tokens"].clone()}
    other["tokens"][hidden] = 77
    assert torch.equal(net(observation)[0], net(other)[0])
    other["tokens"][~hidden] = 77
    assert not torch.allclose(net(observation)[0], net(other)[0])


@pytest.mark.parametrize(
    "key",
    ["tokens", "revealed", "fixation", "saccades_left", "periphery", "saliency", "belief", "eye"],
)
def test_everything_observed_matters(key: str) -> None:
    space = space_of((14, 14), eye=EYE)
    net, observation = excite(build(space)), sample(space)
    observation["revealed"][:] = 1
    space.seed(1)
    changed = {**observation, key: np.stack([space[key].sample() for _ in range(3)])}
    if key == "fixation":
        observation["fixation"][:], changed["fixation"] = -1, np.ones((3, 2), int)
    elif key == "saccades_left":
        observation[key], changed[key] = np.array([[1], [2], [3]]), np.array([[9], [8], [7]])
    before, after = net(tensors(observation)), net(tensors(changed))
    assert not torch.allclose(before[0], after[0], atol=1e-6)
    assert not torch.allclose(before[1], after[1], atol=1e-6)


def test_only_the_share_of_saccades_left_counts() -> None:
    ten, four = space_of(budget=10), space_of(budget=4)
    long, short = build(ten), build(four)
    observation = tensors(sample(ten))
    left = torch.tensor([[10], [5], [0]])
    one = long({**observation, "saccades_left": left})[0]
    other = short({**observation, "saccades_left": left * 0.4})[0]
    torch.testing.assert_close(one, other)


def test_maps_lead_through_the_linear_skip_alone() -> None:
    """With the body silent, a logit is a weighted sum of what is observed in 3 × 3 cells."""
    space = space_of((14, 14), eye=EYE)
    net, observation = build(space), tensors(sample(space))
    for parameter in (net.cell.weight, net.cell.bias, net.direct.weight, net.direct.bias):
        torch.nn.init.zeros_(parameter)
    inputs = net.direct.weight.shape[1]
    eyes = slice(inputs - 7 - 11, inputs - 7)  # before the belief: certainty, margin, five more
    net.direct.weight.data[0, eyes.start + 3] = 1.0
    shown = torch.nn.functional.pad(observation["eye"][:, 3], (1, 1, 1, 1))
    around = sum(shown[:, r : r + 14, c : c + 14] for r in range(3) for c in range(3))
    torch.testing.assert_close(net(observation)[0], around.flatten(1), atol=1e-4, rtol=1e-4)


def test_a_flat_map_is_standardised_to_nothing() -> None:
    flat = standardised(torch.full((2, 3, 4), 0.3))
    torch.testing.assert_close(flat, torch.zeros(2, 3, 4))


def test_without_an_embedding_pixels_do_not_matter() -> None:
    space = space_of()
    net, observation = excite(build(space, embedding=0)), tensors(sample(space))
    observation["revealed"] = torch.ones(3, 30)
    other = {**observation, "tokens": 255 - observation["tokens"]}
    assert torch.equal(net(observation)[0], net(other)[0])
    assert net.encoder is None
    large = build(space)
    sizes = [sum(p.numel() for p in one.parameters()) for one in (net, large)]
    assert sizes[0] + 32 * (3 * 4 * 4 + 1) < sizes[1]


@pytest.mark.parametrize("transposed", [False, True])
def test_sb3_forms_give_the_same(transposed: bool) -> None:
    """Floats, and channels moved to the front."""
    space = space_of()
    raw = sample(space)
    net = excite(build(space))
    shown, theirs = dict(space.spaces), dict(raw)
    if transposed:
        shown["periphery"] = spaces.Box(0, 255, (3, 8, 8), np.uint8)
        theirs["periphery"] = raw["periphery"].transpose(0, 3, 1, 2)
    given: Any = preprocess_obs(tensors(theirs), spaces.Dict(shown), normalize_images=False)
    for mine, other in zip(net(tensors(raw)), net(given), strict=True):
        torch.testing.assert_close(mine, other)


def test_what_cannot_be_is_refused() -> None:
    space = space_of()
    with pytest.raises(ValueError, match="multiple of 8; got 12"):
        TokenGridNet(space, channels=12)
    with pytest.raises(ValueError, match="needs observations with \\['fixation'\\]"):
        TokenGridNet(spaces.Dict({k: v for k, v in space.spaces.items() if k != "fixation"}))
    with pytest.raises(ValueError, match="Dict observation"):
        TokenGridNet(spaces.Box(0, 1, (3,)))
