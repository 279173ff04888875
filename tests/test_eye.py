"""What an eye shows is what one computes by hand, of no more than it may see."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from small_cnns import small_cnn
from torch.nn import functional as F

from saccade_env import EyeObservation, SaccadeEnv, SaccadeVectorEnv, classifiers, core, geometry
from saccade_env.agents.observation import Observing, eye_of
from saccade_env.config import SaccadeConfig
from saccade_env.observe.activation import blur, foveate, logits_and_activation
from saccade_env.observe.eye import Eye
from saccade_env.testing import check_observer

SIGHTS = [("image", ("activation", "glimpses")), (32, ("activation",))]
SEEN_ONCE = pytest.mark.parametrize(("sees", "shows"), SIGHTS)


@pytest.fixture(scope="module")
def cnn() -> Any:
    """It looks a little beyond each token."""
    return small_cnn(classes=1000)


@pytest.fixture(scope="module")
def tokenwise() -> Any:
    """What its tokens add to the logits just adds up."""
    return small_cnn(kernel=16)


@pytest.fixture(scope="module")
def pictures(sample: Any) -> torch.Tensor:
    return torch.stack([sample[i].image for i in range(3)])


def after(pictures: torch.Tensor, judge: Any, *fixations: int) -> core.State:
    """Where three episodes are after these, each in a column more to the right."""
    config, numbers = SaccadeConfig(), torch.arange(len(pictures))
    state = core.begin(pictures, numbers, numbers, config, judge)
    for fixation in fixations:
        state, _ = core.saccade(state, fixation + numbers, config, judge)
    return state


def shown(eye: Eye, pictures: torch.Tensor, state: core.State) -> torch.Tensor:
    return torch.from_numpy(eye.now(core.view(state), eye.fixed(pictures)))


@pytest.mark.parametrize("sees", ["image", 32])
def test_activation_by_hand(cnn: Any, pictures: torch.Tensor, sees: Any) -> None:
    state = after(pictures, cnn, 30, 120)
    found = shown(Eye(cnn, sees), pictures, state)
    seen = (
        pictures if sees == "image" else foveate(pictures, blur(pictures, 32), state.revealed, 16)
    )
    weights, features = cnn.class_weights, cnn.features(seen)
    eyes = cnn.network(cnn.normalise(seen)).softmax(-1)
    now = state.logits.softmax(-1)
    for row in range(3):
        believed = [p[row] @ weights - weights.mean(0) for p in (eyes, now)]
        maps = [(features[row] * one[:, None, None]).sum(0) for one in believed]
        for place, one in enumerate([*maps, features[row].square().sum(0).sqrt()]):
            standard = (one - one.mean()) / one.std(unbiased=False)
            torch.testing.assert_close(found[row, place], standard, atol=1e-3, rtol=1e-3)
            scaled = (one - one.min()) / (one.max() - one.min())
            hidden = F.pad(scaled * ~state.revealed[row], (1, 1, 1, 1))
            around = sum(hidden[r : r + 14, c : c + 14] for r in range(3) for c in range(3)) / 9
            torch.testing.assert_close(found[row, 3 + place], around, atol=1e-3, rtol=1e-3)
        goal = int(eyes[row].argmax())
        certain = [core.certainty(p[row, None].log())[0] for p in (eyes, now)]
        numbers = [eyes[row, goal], now[row, goal], now[row, goal].log().clamp(-13.8155) / 5]
        expected = torch.stack([*numbers, *certain])[:, None, None].expand(5, 14, 14)
        torch.testing.assert_close(found[row, 6:], expected, atol=1e-3, rtol=1e-3)


def test_a_glimpse_is_what_a_saccade_adds_where_tokens_add_up(
    tokenwise: Any, pictures: torch.Tensor
) -> None:
    state = after(pictures, tokenwise, 0)  # one corner; no window is seen in part
    found = shown(Eye(tokenwise, "image", ("glimpses",)), pictures, state)
    eyes = tokenwise.network(tokenwise.normalise(pictures)).softmax(-1)
    goal, now = eyes.argmax(-1, keepdim=True), state.logits.log_softmax(-1)
    disorder = -(now.exp() * now).sum(-1)
    for row, col in ((3, 7), (7, 5), (11, 11)):
        there = torch.full((3,), row * 14 + col)
        then = core.saccade(state, there, SaccadeConfig(), tokenwise)[0].logits
        gained = then.log_softmax(-1) - now
        alone = then - state.logits
        expected = [
            gained.gather(1, goal)[:, 0],
            (eyes * gained).sum(-1),
            disorder + (then.softmax(-1) * then.log_softmax(-1)).sum(-1),
            (alone.gather(1, goal) - alone.mean(-1, keepdim=True))[:, 0],
        ]
        torch.testing.assert_close(
            found[:, :, row, col], torch.stack(expected, 1), atol=1e-3, rtol=1e-3
        )
    between = (found[:, :, 3, 5] + found[:, :, 3, 7] + found[:, :, 5, 5] + found[:, :, 5, 7]) / 4
    torch.testing.assert_close(found[:, :, 4, 6], between)
    torch.testing.assert_close(found[:, :, 0], found[:, :, 1], msg="the nearest at the border")


def test_what_is_revealed_promises_nothing_more(tokenwise: Any, pictures: torch.Tensor) -> None:
    """A window's gain falls with its share that is hidden: to 0 where nothing of it is."""
    eye = Eye(tokenwise, "image", ("glimpses",))
    fixed, state = eye.fixed(pictures), after(pictures, tokenwise, 5 * 14 + 5)
    gain = eye.now(core.view(state), fixed)[0, :3]
    assert np.abs(gain[:, 5, 5]).max() < 1e-6
    assert np.abs(gain[:, 5, 7]).min() > 1e-6


def test_features_are_those_of_the_network(sample: Any, pictures: torch.Tensor) -> None:
    lite = classifiers.create("efficientnet_lite0", onnx=False)
    kept: list[torch.Tensor] = []
    hook = lite.network.blocks[4].register_forward_hook(lambda *given: kept.append(given[2]))
    lite.network(lite.normalise(pictures))
    hook.remove()
    found = shown(Eye(lite, 32, ("features",)), pictures, after(pictures, lite, 30))
    assert found.shape == (3, 112, 14, 14)
    torch.testing.assert_close(lite.middle_features(pictures), kept[0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found.std((1, 2, 3)), torch.ones(3), atol=1e-3, rtol=0)
    whole = shown(Eye(lite, "image", ("features",)), pictures, after(pictures, lite))
    torch.testing.assert_close(whole, kept[0] / kept[0].std((1, 2, 3), keepdim=True))
    assert not torch.allclose(found, whole, atol=0.1), "the eye of 32 pixels sees less"


def test_nothing_hidden_enters_beyond_the_blur(cnn: Any, pictures: torch.Tensor) -> None:
    """Pixels that change places within 7×7 leave the picture of 32×32 as it is."""
    state = after(pictures, cnn, 30, 120)
    turned = pictures.unflatten(2, (-1, 7)).unflatten(4, (-1, 7)).flip(3, 5)
    turned = turned.flatten(4).flatten(2, 3)
    hidden = ~geometry.to_pixels(state.revealed, 16)[:, None].expand_as(pictures)
    other = torch.where(hidden & ~_beside_revealed(hidden), turned, pictures)
    assert not torch.equal(other, pictures)
    assert torch.equal(shown(Eye(cnn, 32), other, state), shown(Eye(cnn, 32), pictures, state))
    assert not torch.equal(
        shown(Eye(cnn, "image"), other, state), shown(Eye(cnn, "image"), pictures, state)
    )


def _beside_revealed(hidden: torch.Tensor) -> torch.Tensor:
    """Blocks of 7×7 that are hidden in part, where turning would change the mean."""
    part = F.max_pool2d((~hidden).float(), 7, 7)
    return part.repeat_interleave(7, 2).repeat_interleave(7, 3).bool()


@SEEN_ONCE
def test_it_keeps_the_contract_of_observers(cnn: Any, sees: Any, shows: Any) -> None:
    check_observer(Eye(cnn, sees, shows), classifier=cnn, may_depend_on_hidden=True)


@SEEN_ONCE
def test_the_image_is_looked_at_once_an_episode(
    sample: Any, sees: Any, shows: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge, looks = small_cnn(classes=1000), []
    features = judge.features
    monkeypatch.setattr(judge, "features", lambda x: (looks.append(len(x)), features(x))[1])
    env = EyeObservation(SaccadeEnv(sample, judge, max_saccades=3), sees, shows)
    env.reset(seed=0)
    begun = len(looks)
    for action in (10, 60, 110):
        env.step(action)
    assert begun > 0
    assert len(looks) - begun == (0 if sees == "image" else 3)


@SEEN_ONCE
def test_a_vector_env_shows_what_single_ones_do(
    cnn: Any, sample: Any, sees: Any, shows: Any
) -> None:
    task: dict[str, Any] = {"classifier": cnn, "max_saccades": 3, "stop_action": True}

    def single() -> Any:
        return EyeObservation(SaccadeEnv(sample, **task), sees, shows)

    native = EyeObservation(SaccadeVectorEnv(3, images=sample, **task), sees, shows)
    sync = SyncVectorEnv([single] * 3, autoreset_mode=AutoresetMode.SAME_STEP)
    assert native.single_observation_space == sync.single_observation_space
    left, right = native.reset(seed=4)[0], sync.reset(seed=4)[0]
    generator, finals = np.random.default_rng(0), 0
    for _ in range(6):
        assert native.observation_space.contains(left)
        np.testing.assert_allclose(left["eye"], right["eye"], atol=2e-3)
        actions = np.where(generator.random(3) < 0.3, 196, generator.integers(0, 196, 3))
        left, *_, ended, _, mine = native.step(actions)
        right, *_, theirs = sync.step(actions)
        for row in np.flatnonzero(ended):
            final, other = mine["final_obs"][row]["eye"], theirs["final_obs"][row]["eye"]
            np.testing.assert_allclose(final, other, atol=2e-3)
            finals += not np.allclose(final, left["eye"][row], atol=1e-2)
    assert finals > 3, "what episodes ended on is not what the next ones begin with"


@SEEN_ONCE
def test_an_agent_observes_the_same(cnn: Any, sample: Any, sees: Any, shows: Any) -> None:
    env: Any = SaccadeVectorEnv(2, images=sample, classifier=cnn, max_saccades=3)
    env = EyeObservation(env, sees, shows)
    env.reset(seed=1)
    observation, *_ = env.step(np.array([30, 99]))
    described = {"classifier": cnn, "sees": sees, "shows": shows}
    observing = Observing((14, 14), 16, eye=eye_of(described, (14, 14), 16, "cpu"))
    observing.begin(env.unwrapped.images)
    mine = observing(env.unwrapped.view)
    assert observing.space(3) == env.single_observation_space
    for key, value in observation.items():
        np.testing.assert_allclose(mine[key], value, atol=1e-5, err_msg=key)


def test_the_activation_map_is_the_gradient_of_the_belief(sample: Any) -> None:
    """Its mean over the features is Σ p·(logit − bias) less that of the mean class."""
    cnn = classifiers.create("efficientnet_lite0")
    images = torch.stack([sample[0].image, sample[1].image])
    features = cnn.features(images).requires_grad_()
    logits = features.mean((2, 3)) @ cnn.class_weights.T
    p = (logits + cnn.class_biases).softmax(1).detach()
    belief = (p * logits).sum(1) - logits.mean(1)
    (slope,) = torch.autograd.grad(belief.sum(), features)
    coarse = (slope * features).sum(1).detach()
    wanted = F.interpolate(coarse[:, None], (14, 14), mode="bilinear")[:, 0]
    found = logits_and_activation(cnn, images)[1]
    for one, other in zip(wanted.flatten(1), found.flatten(1), strict=True):
        assert np.corrcoef(one.numpy(), other.numpy())[0, 1] > 0.9999
    assert torch.equal(found.amin((1, 2)), torch.zeros(2))
    assert torch.allclose(found.amax((1, 2)), torch.ones(2))
    assert torch.allclose(cnn.network(cnn.normalise(images)), logits + cnn.class_biases, atol=1e-3)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda env: EyeObservation(env, 0), ValueError, "whole number of pixels ≥ 1; got 0"),
        (lambda env: EyeObservation(env, "picture"), ValueError, "≥ 1; got 'picture'"),
        (lambda env: EyeObservation(env, True), ValueError, "≥ 1; got True"),
        (lambda env: EyeObservation(env, 64, ("glimpses",)), ValueError, "it sees 64"),
        (lambda env: EyeObservation(env, shows=("glimpse",)), ValueError, "mean 'glimpses'"),
        (lambda env: EyeObservation(env, shows=()), ValueError, r"one or more of .*; got \[\]"),
        (lambda env: EyeObservation(env, 113).reset(), ValueError, "at most 112 .*; got 113"),
        (lambda env: EyeObservation(env, shows=("features",)), AttributeError, "no features with"),
    ],
)
def test_what_no_eye_can_be_is_refused(
    cnn: Any, sample: Any, build: Callable[[Any], Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        build(SaccadeEnv(sample, cnn))


def test_an_eye_needs_a_convolutional_classifier(linear: Any, sample: Any) -> None:
    with pytest.raises(TypeError, match="'linear' has no class activation map"):
        EyeObservation(SaccadeEnv(sample, linear))
    described = {"classifier": linear, "sees": "image", "shows": ["activation"]}
    with pytest.raises(ValueError, match="cannot observe that: .*no class activation map"):
        eye_of(described, (14, 14), 16, "cpu")
    with pytest.raises(ValueError, match=r"has \(14, 14\) tokens of 16 pixels; .* \(7, 7\) of 32"):
        eye_of(described, (7, 7), 32, "cpu")
