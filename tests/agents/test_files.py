"""Agents on disk: ours, and Stable-Baselines3's, which are pickles."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from small_agents import OBSERVED, bare, build_env, build_model, make_prior, save_sb3

from saccade_env import classifiers, core
from saccade_env.agents import AgentPolicy, TokenGridNet
from saccade_env.agents.files import DESCRIPTION, WEIGHTS, save_agent
from saccade_env.agents.observation import Observing, eye_of
from saccade_env.agents.sb3_policies import Sb3Network
from saccade_env.agents.sb3_zip import CARD, MODEL, export, load_sb3
from saccade_env.card import describe_policy
from saccade_env.classifiers.weights_file import WeightsError
from saccade_env.evaluation.rollout import rollout

pytestmark = pytest.mark.filterwarnings("ignore:.*:UserWarning:stable_baselines3")


def saved(folder: Path, **keywords: Any) -> Path:
    return save_agent(bare(**keywords), folder, "tiny", OBSERVED, {"steps": 5})


def test_round_trip_on_another_grid(tmp_path: Path, make_linear: Any) -> None:
    folder = saved(tmp_path / "agent")
    assert sorted(path.name for path in folder.iterdir()) == [DESCRIPTION, WEIGHTS]
    described = json.loads((folder / DESCRIPTION).read_text())
    assert described["network"] == {
        "channels": 16, "blocks": 2, "stop_action": False, "embedding": 32, "patch_size": 16,
    }  # fmt: skip
    assert described["max_saccades"] == 4
    assert described["card"] == {"steps": 5}
    grid = (10, 12)
    agent = AgentPolicy.load(folder, grid, partial(make_prior, grid=grid))
    for key, value in agent._net.state_dict().items():
        assert torch.equal(value, bare().state_dict()[key])
    images = torch.randint(0, 256, (2, 3, 160, 192), dtype=torch.uint8)
    classifier = make_linear((160, 192))
    path = rollout(images, torch.zeros(2).long(), agent, core.SaccadeConfig(grid), classifier)
    assert path.scanpath.max() < 12
    card = describe_policy(agent)
    assert (card["name"], card["periphery"], card["prior"]["name"]) == ("tiny", 16, "gbvs")
    assert len(card["weights"]["sha256"]) == 64
    assert agent.sees_full_image
    assert isinstance(agent, core.Policy)
    json.dumps(card)


def test_export_keeps_the_behaviour(linear: Any, sample: Any, tmp_path: Path) -> None:
    model = build_model("maskable-ppo", build_env(linear, sample), steps=12)
    run = save_sb3(model, tmp_path / "run", "maskable-ppo", name="good", steps=12)
    folder = export(run / MODEL, tmp_path / "agent", trust=True)
    ours = AgentPolicy.load(folder, make_prior=make_prior)
    theirs = load_sb3(run, make_prior=make_prior, trust=True)
    assert (ours.name, theirs.name) == ("agent", "good"), "an agent is named as its folder"
    images = torch.stack([sample[i].image for i in range(3)])
    labels, config = torch.zeros(3, dtype=torch.long), core.SaccadeConfig(max_saccades=6)
    left, right = (rollout(images, labels, agent, config, linear) for agent in (ours, theirs))
    np.testing.assert_array_equal(left.scanpath, right.scanpath)
    assert json.loads((folder / DESCRIPTION).read_text())["card"]["steps"] == 12


def test_without_a_prior_it_does_not_see_the_picture(tmp_path: Path) -> None:
    net = TokenGridNet(Observing((14, 14), 16, 16).space(4), 16, 2)
    said = {"periphery": 16, "prior": None, "belief": 0, "eye": None}
    folder = save_agent(net, tmp_path, "small", said)
    agent = AgentPolicy.load(folder)
    assert not agent.sees_full_image
    assert "prior" not in describe_policy(agent)


@pytest.mark.parametrize(
    ("sees", "shows", "sides"),
    [
        pytest.param("image", ["activation", "glimpses"], 0, marks=pytest.mark.slow),
        (64, ["features"], 64),
    ],
)
def test_an_agent_comes_back_with_its_eye(
    tmp_path: Path, sample: Any, sees: Any, shows: list[str], sides: int
) -> None:
    described = {"classifier": "efficientnet_lite0", "sees": sees, "shows": shows}
    observing = Observing((14, 14), 16, eye=eye_of(described, (14, 14), 16, "cpu"))
    net = TokenGridNet(observing.space(4), 16, 2, embedding=0)
    said = {"periphery": 0, "prior": None, "belief": 0, "eye": described}
    agent = AgentPolicy.load(save_agent(net, tmp_path, "seer", said))
    assert (agent.sees_full_image, agent.periphery) == (not sides, sides)
    said_again = describe_policy(agent)
    assert said_again["name"] == "seer"
    assert said_again["eye"] == f"efficientnet_lite0 on {sees}: {', '.join(shows)}"
    judge = classifiers.create("efficientnet_lite0")
    images = torch.stack([sample[0].image, sample[1].image])
    state = core.begin(images, torch.zeros(2).long(), torch.arange(2), core.SaccadeConfig(), judge)
    mine = AgentPolicy(net.eval(), observing)
    for one in (agent, mine):
        one.reset(images)
    torch.testing.assert_close(agent.logits(core.view(state)), mine.logits(core.view(state)))


def _described(folder: Path, **changes: Any) -> Path:
    """The same agent, described in another way: ``network.channels`` by ``network__channels``."""
    path = folder / DESCRIPTION
    found = json.loads(path.read_text())
    for name, value in changes.items():
        holder, _, key = name.rpartition("__")
        own = found[holder] if holder else found
        if value is ...:
            del own[key]
        else:
            own[key] = value
    path.write_text(json.dumps(found))
    return folder


def _eye(**changes: Any) -> dict[str, Any]:
    return {"classifier": "efficientnet_lite0", "sees": "image", "shows": ["glimpses"], **changes}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": ...}, "agent.json lacks 'network'"),
        ({"observation__belief": ...}, "agent.json, 'observation' lacks 'belief'"),
        ({"network": 3}, "'network' must be an object with channels, blocks"),
        ({"naem": "x"}, "unknown field of .*agent.json: 'naem'. Did you mean 'name'"),
        ({"network__chanels": 8}, "agent.json, 'network': 'chanels'.*Did you mean 'channels'"),
        ({"name": ["a"]}, "'name' must be a text"),
        ({"name": "a\x1b[2J"}, "'name' must be a text"),
        ({"name": ""}, "'name' must be a text"),
        ({"card": []}, "'card' must be an object"),
        ({"max_saccades": 0}, "'max_saccades' must be a whole number from 1"),
        ({"max_saccades": 1e400}, "'max_saccades' must be a whole number"),
        ({"network__channels": 10**9}, "'channels' must be a multiple of 8 from 8 to 512"),
        ({"network__channels": 12}, "'channels' must be a multiple of 8"),
        ({"network__channels": "16"}, "'channels' must be a multiple of 8"),
        ({"network__blocks": 2.0}, "'blocks' must be a whole number"),
        ({"network__blocks": -1}, "'blocks' must be a whole number"),
        ({"network__stop_action": 1}, "'stop_action' must be true or false"),
        ({"network__patch_size": 0}, "'patch_size' must be a whole number from 1"),
        ({"observation__periphery": 10**6}, "'periphery' must be a whole number from 0 to 1024"),
        ({"observation__periphery": True}, "'periphery' must be a whole number"),
        ({"observation__belief": 10**9}, "'belief' must be a whole number from 0 to 1000"),
        ({"observation__prior": 7}, "'prior' must be the name of a policy or null"),
        ({"network__embedding": ...}, "'network' lacks 'embedding'"),
        ({"network__embedding": 513}, "'embedding' must be a whole number from 0 to 512"),
        ({"observation__eye": ...}, "'observation' lacks 'eye'"),
        ({"observation__eye": "image"}, "'eye' must be null or an object with 'classifier'"),
        ({"observation__eye": _eye(shown=[])}, "'eye' must be null or an object"),
        ({"observation__eye": {"classifier": "resnet50"}}, "'eye' must be null or an object"),
        ({"observation__eye": _eye(classifier="alexnet")}, "'classifier', the name of one"),
        ({"observation__eye": _eye(classifier="resnet50:onnx=true")}, "the name of one"),
        ({"observation__eye": _eye(classifier=["resnet50"])}, "the name of one"),
        ({"observation__eye": _eye(sees="picture")}, '"image" or up to 1024 pixels'),
        ({"observation__eye": _eye(sees=0)}, '"image" or up to 1024 pixels'),
        ({"observation__eye": _eye(sees=True)}, '"image" or up to 1024 pixels'),
        ({"observation__eye": _eye(shows="activation")}, "a list of some of activation, glimpses"),
        ({"observation__eye": _eye(shows=["sound"])}, "a list of some of activation, glimpses"),
        ({"observation__eye": _eye(shows=[["activation"]])}, "a list of some of activation"),
    ],
)
def test_every_field_of_the_description_is_checked(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    folder = _described(saved(tmp_path / "agent"), **changes)
    with pytest.raises(ValueError, match=message):
        AgentPolicy.load(folder, make_prior=make_prior)


def test_what_a_description_names_must_serve(tmp_path: Path) -> None:
    folder = saved(tmp_path / "agent")
    with pytest.raises(ValueError, match=r"agent\.json: .*'gbvs': give make_prior"):
        AgentPolicy.load(folder)
    with pytest.raises(ValueError, match=r"agent\.json, 'observation': .*no saliency"):
        AgentPolicy.load(folder, make_prior=lambda name: object())
    for wrong, message in (
        (_eye(shows=[]), "shows one or more"),
        (_eye(shows=["activation"] * 2), "shows one or more"),
        (_eye(sees=64, shows=["glimpses"]), "the eye must see it"),
    ):
        _described(folder, observation__eye=wrong)
        with pytest.raises(ValueError, match=rf"agent\.json, 'observation': .*{message}"):
            AgentPolicy.load(folder, make_prior=make_prior)


@pytest.mark.parametrize("text", ["{", "[]", "3", "", '{"a": NaN', "\ud800", "[" * 10**5])
def test_a_description_that_is_no_object_is_named(tmp_path: Path, text: str) -> None:
    path = saved(tmp_path / "agent") / DESCRIPTION
    path.write_text(text, errors="surrogatepass")
    with pytest.raises(OSError, match=r"agent\.json cannot be read"):
        AgentPolicy.load(path.parent, make_prior=make_prior)
    path.write_text(" " * (1 << 20) + "{}")
    with pytest.raises(ValueError, match=r"agent\.json is above 1 MiB"):
        AgentPolicy.load(path.parent, make_prior=make_prior)


def test_nothing_is_read_in_place_of_a_description(tmp_path: Path) -> None:
    folder = saved(tmp_path / "agent")
    (folder / DESCRIPTION).unlink()
    (folder / MODEL).write_bytes(b"a pickle")
    with pytest.raises(FileNotFoundError, match=r"agent\.json in .*agent, which holds: agent.safe"):
        AgentPolicy.load(folder, make_prior=make_prior)
    with pytest.raises(FileNotFoundError, match="holds: nothing"):
        AgentPolicy.load(tmp_path / "nowhere", make_prior=make_prior)


def _tensors(**changes: Any) -> dict[str, torch.Tensor]:
    return {**{key: value.clone() for key, value in bare().state_dict().items()}, **changes}


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (_tensors(**{"cell.bias": torch.tensor([torch.nan])}), "'cell.bias' holds NaN"),
        (_tensors(**{"cell.bias": torch.tensor([torch.inf])}), "'cell.bias' holds NaN"),
        (_tensors(**{"cell.bias": torch.ones(1, dtype=torch.int8)}), "'cell.bias' is .*int8"),
        (_tensors(**{"cell.bias": torch.ones(1, dtype=torch.complex64)}), "'cell.bias' is .*comp"),
        (_tensors(**{"cell.bias": torch.ones(2)}), r"'cell.bias' has shape \(2,\)"),
        (_tensors(extra=torch.ones(1)), "unexpected keys extra"),
        ({"cell.bias": torch.ones(1)}, "missing keys"),
        (_tensors(extra=torch.ones(10**6)), "larger than the network"),
    ],
)
def test_weights_of_something_else_are_refused(
    tmp_path: Path, tensors: dict[str, torch.Tensor], message: str
) -> None:
    folder = saved(tmp_path / "agent")
    save_file(tensors, folder / WEIGHTS)
    with pytest.raises(WeightsError, match=message):
        AgentPolicy.load(folder, make_prior=make_prior)


def test_files_that_are_not_right_say_so(tmp_path: Path) -> None:
    folder = saved(tmp_path / "agent")
    load = partial(AgentPolicy.load, make_prior=make_prior)
    with pytest.raises(WeightsError, match="not the weights of"):
        load(_described(folder, network__channels=24))
    _described(folder, network__channels=16)
    (folder / WEIGHTS).write_bytes(b"\x80\x04not safetensors")  # a pickle is not opened
    with pytest.raises(WeightsError, match="cannot be read as weights"):
        load(folder)
    (folder / WEIGHTS).unlink()
    with pytest.raises(FileNotFoundError, match=WEIGHTS):
        load(folder)
    with pytest.raises(ValueError, match="the description says"):
        save_agent(bare(), folder, "x", {**OBSERVED, "belief": 0})
    net = bare()
    net.cell.bias.data.fill_(torch.inf)
    with pytest.raises(WeightsError, match="'cell.bias' holds NaN or infinity"):
        save_agent(net, folder, "x", OBSERVED)
    assert not (folder / WEIGHTS).exists()


class _Executed:
    """Unpickling it leaves a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_a_pickle_is_read_only_on_trust(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    torch.save(_Executed(tmp_path / "executed"), run / MODEL)
    (run / CARD).write_text(json.dumps({"algo": "ppo", "observation": OBSERVED}))
    for read in (load_sb3, partial(export, folder=tmp_path / "agent")):
        for path in (run, run / MODEL):
            with pytest.raises(ValueError, match=r"is a pickle.*trust=True.*--policy sb3:.*run"):
                read(path)
    with pytest.raises(FileNotFoundError, match=r"agent\.json"):
        AgentPolicy.load(run)
    assert not (tmp_path / "executed").exists()


def test_sb3_files_that_are_not_right_say_so(linear: Any, sample: Any, tmp_path: Path) -> None:
    model = build_model("ppo", build_env(linear, sample))
    run = save_sb3(model, tmp_path / "run", "ppo")
    load = partial(load_sb3, trust=True, make_prior=make_prior)
    with pytest.raises(FileNotFoundError, match="there is no .*model.zip"):
        load(tmp_path)
    shutil.copy(run / MODEL, tmp_path / "other.zip")
    with pytest.raises(FileNotFoundError, match=r"there is no .*card\.json"):
        load(tmp_path / "other.zip")
    save_sb3(model, run, "a3c")
    with pytest.raises(ValueError, match="unknown algorithm 'a3c'"):
        load(run)
    (run / CARD).write_text(json.dumps({"algo": "ppo", "observation": {"periphery": 16}}))
    with pytest.raises(ValueError, match=r"card\.json, 'observation' lacks 'prior'"):
        load(run)
    Sb3Network(model).net.cell.bias.data.fill_(torch.nan)
    save_sb3(model, run, "ppo")
    with pytest.raises(WeightsError, match="holds NaN or infinity"):
        load(run)
    (run / MODEL).write_text("nothing")
    with pytest.raises(ValueError, match="cannot be loaded"):
        load(run)


@pytest.mark.slow
def test_importing_agents_needs_no_sb3() -> None:
    code = (
        "import sys, saccade_env.agents as a; a.AgentPolicy, a.TokenGridNet;"
        "print([m for m in ('stable_baselines3', 'sb3_contrib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
