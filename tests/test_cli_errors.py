"""Malformed command lines end early, in one line, whatever is wrong with them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from saccade_env import cli, images
from saccade_env.agents import files
from saccade_env.cli import evaluate as command

CNN = ["--classifier", "efficientnet_lite0"]
QUICK = [*CNN, "--policy", "centre", "--saccades", "1"]
EVALUATE = ["evaluate", *QUICK]
AGENT = files.available()[0]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an agent, and with much that is none; models there are pickles."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SACCADE_IMAGENET", raising=False)
    for folder in ("empty", "plain", "half", "torn", "damaged"):
        (tmp_path / folder).mkdir()
    agent = files.folder_of(AGENT)
    shutil.copytree(agent, "a:b=c")
    shutil.copy(agent / "agent.safetensors", "half")
    Path("damaged/agent.json").write_text("{")
    for place in (".", "plain"):
        with zipfile.ZipFile(Path(place, "model.zip"), "w") as archive:
            archive.writestr("data", "{}")
    Path("file").write_text("in the way")
    shutil.copy(images.SAMPLE / "n07920052" / "coffee.jpg", "torn/a.jpg")
    Path("torn/b.jpg").write_bytes(b"\xff\xd8\xff no more")
    Path("pictures/n07920052").mkdir(parents=True)
    shutil.copy("torn/a.jpg", "pictures/n07920052")
    return tmp_path


def call(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli.app, list(arguments), terminal_width=400)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, " ".join(result.output.replace("│", " ").split())


POLICIES = [
    ("", "unknown policy ''"),
    ("focus-atention", "Did you mean 'focus-attention'? Known: "),
    ("DINO", "Did you mean 'dino'"),
    ("zzzzzz", "unknown policy 'zzzzzz'. Known: "),
    ("zzzzzz:seed=1", "unknown policy 'zzzzzz'. Known: "),
    ("random:", "a parameter must be key=value; got ''"),
    ("random:,", "a parameter must be key=value; got ''"),
    ("random:seed", "a parameter must be key=value; got 'seed'"),
    ("random:seed=", "a parameter must be key=value; got 'seed='"),
    ("random:=3", "a parameter must be key=value; got '=3'"),
    ("random:seed=1,seed=2", "parameter 'seed' is given twice in 'random:seed=1,seed=2'"),
    ("random:seed=a", "'seed' of policy 'random' must be a whole number; got 'a'"),
    ("random:seed=1.5", "'seed' of policy 'random' must be a whole number; got '1.5'"),
    ("random:seed=3x3", "must be a whole number; got '3x3'"),
    ("random:grid=3x3", "'grid' of policy 'random' cannot be set in a name"),
    ("random:device=meta", "'device' of policy 'random' cannot be"),
    ("random:name=x", "unknown parameter 'name' of policy 'random'. Known: seed."),
    ("random:sed=1", "unknown parameter 'sed' of policy 'random'. Did you mean 'seed'?"),
    ("centre:layer=3", "unknown parameter 'layer' of policy 'centre'"),
    ("gbvs:textbook_gabors=maybe", "of policy 'gbvs' must be true or false; got 'maybe'"),
    ("centre:cache=false", "parameter 'cache' of policy 'centre' cannot be set in a name"),
    ("greedy-oracle:stride=a", "must be a whole number; got 'a'"),
    ("greedy-oracle:stride=0", "stride must be ≥ 1; got 0"),
    ("greedy-oracle:target=luck", "'target' of policy 'greedy-oracle' must be certainty_gain or"),
    (
        "greedy-oracle:classifier=resnet50",
        "'classifier' of policy 'greedy-oracle' cannot be",
    ),
    ("gbvs:map_size=28", "must be two whole numbers as in 160x192; got '28'"),
    ("gbvs:sigma_activation=nan", "must be a number; got 'nan'"),
    ("gbvs:pyramid_levels=2", "'pyramid_levels' of policy 'gbvs' cannot be set in a name"),
    ("gbvs:channels=X", "channels must be some of 'CIO'"),
    ("dino:layer=x", "'layer' of policy 'dino' must be a whole number; got 'x'"),
    ("dino:resolution=big", "must be none or a whole number or two whole numbers as in 160x192"),
    (f"{AGENT}:stops=maybe", f"of agent {AGENT!r} must be true or false; got 'maybe'"),
    (f"{AGENT}:stop=true", f"unknown parameter 'stop' of agent {AGENT!r}. Did you mean"),
    ("sb3:plain:trust=false", "cannot be set in a name"),
    (f"{AGENT}:grid=3x3", "cannot be set in a name"),
    ("sb3:", "no such model of Stable-Baselines3: ''"),
    ("sb3:nowhere", "no such model of Stable-Baselines3: 'nowhere'"),
    ("sb3:plain", "card.json"),
    ("sb3:plain:stops=maybe", "must be true or false; got 'maybe'"),
    ("sb3:empty", "there is no empty/model.zip"),
    ("plain", "is loaded by 'sb3:plain', which unpickles it: trust it"),
    ("half", "half here is no agent, as it holds no agent.json"),
    ("model.zip", "is loaded by 'sb3:model.zip'"),
    (".", "is loaded by 'sb3:.'"),
    ("empty", "unknown policy 'empty'"),
    ("file", "file here is no agent"),
    ("damaged", "damaged/agent.json"),
    ("runs/none", "no such policy and no such folder: runs/none"),
    ("C:\\runs\\none", "no such policy and no such folder: C:\\runs\\none"),
    ("a:b=c:stops=maybe", "must be true or false; got 'maybe'"),
    ("a" * 5000, "unknown policy 'aaa"),
]
CLASSIFIERS = [
    ("", "unknown classifier ''"),
    ("efficientnet", "Did you mean 'efficientnet_lite0'"),
    ("efficientnet_lite0:image_size=100", "'image_size' of classifier 'efficientnet_lite0' cannot"),
    ("efficientnet_lite0:image_size=100x100", "cannot be set in a name"),
    ("efficientnet_lite0:name=x", "unknown parameter 'name'"),
    ("efficientnet_lite0:patch_size=a", "must be a whole number; got 'a'"),
    ("efficientnet_lite0:autocast=float8", "must be none or bfloat16 or float16; got 'float8'"),
    ("efficientnet_lite0:autocast=bfloat", "got 'bfloat'. Did you mean 'bfloat16'?"),
    ("efficientnet_lite0:compile=1", "must be true or false; got '1'"),
    ("efficientnet_lite0:mode=kv_cache", "is for transformers"),
    ("dino_vits16:name=dino_vitb16", "'name' of classifier 'dino_vits16' cannot"),
    ("dino_vits16:refresh_every=often", "must be a whole number; got 'often'"),
    ("auto:", "a parameter must be key=value; got ''"),
]  # fmt: skip
NUMBERS = [
    ("--fovea", "4", "4 is not odd"),
    ("--fovea", "15", "fovea must be odd and ≤ 14; got 15"),
    ("--stop-at", "0.5;0.6", "expected numbers separated by commas; got '0.5;0.6'"),
    ("--stop-at", "", "expected numbers separated by commas; got ''"),
    ("--stop-at", "50", "must be certainties, 0 to 1; got [50.0]"),
    ("--stop-at", "nan", "must be certainties, 0 to 1; got [nan]"),
    *(("--seed", seed, "'--seed'") for seed in ("-1", "4294967296", "1.5", "one")),
    *((option, "0", f"'{option}'") for option in ("--saccades", "--limit", "--batch-size")),
    *(("--fovea", fovea, "'--fovea'") for fovea in ("-1", "3.5", "3x3")),
    ("--workers", "-1", "'--workers'"),
    ("--patience", "0", "'--patience'"),
]
OTHERS = [
    (["evaluate", *QUICK, "--on-error", "hide"], "'hide' is not one of 'raise', 'skip'"),
    (["evaluate", *QUICK, "--images", ""], "images is an empty text"),
    (["evaluate", *QUICK, "--images", "nowhere"], "nowhere does not exist"),
    (["evaluate", *QUICK, "--images", "smaple"], "Did you mean 'sample'"),
    (["evaluate", *QUICK, "--images", "empty"], "empty"),
    (["evaluate", *QUICK, "--images", "torn"], "b.jpg"),
    (["evaluate", *QUICK, "--images", "imagenet:"], "needs the folder of the data set"),
    (["evaluate", *QUICK, "--out", ""], "it is empty: name a folder"),
    (["evaluate", *QUICK, "--out", "file"], "file"),
    (["evaluate", *QUICK, "--device", "meta"], "device 'meta' cannot be used"),
    (["bench", "--quick", "--device", "meta"], "device 'meta' cannot be used"),
    (["evaluate", *QUICK, "--saccades", "9" * 11], "allocate memory"),
    (["paper", *CNN, "--out", ""], "it is empty: name a folder"),
    (["paper", *CNN, "--out", "p", "--policies", "rondom"], "Did you mean 'random'"),
    (["train", *CNN, "--out", ""], "it is empty: name a folder"),
    (["train", *CNN, "--out", "o", "--seed", "-1"], "'--seed'"),
    (["train", *CNN, "--out", "o", "--prior", "random:seed=a"], "must be a whole number"),
    (["human", "nowhere.csv"], "nowhere.csv"),
    (["human", "file", *CNN, "--policy", "rondom"], "Did you mean 'random'"),
    (["cache", "clear", "mapps"], "Did you mean 'maps'"),
    (["bench", "--json", "empty"], "cannot write empty: it is a folder"),
    (["evaluate", *QUICK, "--out", "file/in/it"], "file"),
    (["evaluate", *QUICK, "--device", "gpu"], "device 'gpu'"),
    (["evaluate", *QUICK, "--device", ""], "device"),
    (["evaluate", *QUICK, "--device", "cuda:99"], "device 'cuda:99'"),
    (["record", *QUICK, "--out", "x.txt"], "end in .gif, .mp4, .html or .json; got 'x.txt'"),
    (["record", *QUICK, "--out", "film"], "end in .gif, .mp4, .html or .json; got 'film'"),
    (["record", *QUICK, "--policy", "random", "--out", "x.gif"], "a film shows one policy"),
    (["record", *QUICK, "--out", "file/film.gif"], "file"),
    (["record", *QUICK, "--index", "99"], "--index must be below 34"),
    (["record", *QUICK, "--index", "-1"], "'--index'"),
    (
        ["record", *CNN, "--policy", "centre", "--images", "pictures", "--out", "pictures/x.gif"],
        "lies in the folder of the images",
    ),
    (["evaluate", *QUICK, "--policy", "gbvs:map_size=100000x100000"], "map_size must hold up to"),
    (["download", "dino_vits17"], "Did you mean 'dino_vits16'"),
    (["download", "unisal", "--from", "nowhere"], "nowhere"),
    (["download", "unisal", "--from", "file"], "file"),
    (["evalaute"], "No such command 'evalaute'"),
]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        *((["evaluate", *CNN, "--policy", name], message) for name, message in POLICIES),
        *((["evaluate", "--classifier", name], message) for name, message in CLASSIFIERS),
        *(([*EVALUATE, option, value], message) for option, value, message in NUMBERS),
        *OTHERS,
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else "",
)
def test_errors_are_one_clear_line(arguments: list[str], message: str) -> None:
    code, output = call(*arguments)
    assert code in (1, 2), output
    assert message in output
    assert "Traceback" not in output
    assert output.count("error: ") + output.count("─ Error ─") == 1
    late = "torn" in arguments or "allocate" in message or arguments[0] == "human"
    assert late or not Path("saccade-runs").exists(), "nothing was begun"


def test_a_name_is_wrong_before_anything_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(*_: object) -> None:
        raise AssertionError("the images were opened")

    monkeypatch.setattr("saccade_env.task.open_pair", opened)
    for option, wrong in (("--policy", "rondom"), ("--stop-at", "2"), ("--classifier", "eficient")):
        code, output = call("evaluate", *QUICK, option, wrong)
        assert (code, output.count("error: ")) == (1, 1)
    assert call("record", *QUICK, "--out", "film.avi")[0] == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a:b=c", "a:b=c:stops=true", "./a:b=c", f"{AGENT}:stops=true"])
def test_a_path_may_hold_a_colon(name: str) -> None:
    code, output = call("record", *CNN, "--policy", name, "--saccades", "1")
    assert code == 0, output


@pytest.mark.parametrize(
    "error",
    [
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        NotADirectoryError(20, "Not a directory", "x"), PermissionError(13, "denied", "x"),
        yaml.YAMLError("no YAML"), zipfile.BadZipFile("no zip"), EOFError("ends early"),
    ],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_what_a_user_can_mend_is_one_line(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr(command, "find_policies", broken)
    assert call(*EVALUATE) == (1, f"error: {error}")


@pytest.mark.parametrize("bug", [KeyError("key"), IndexError("out of range"), TypeError("no")])
def test_a_bug_keeps_its_traceback(bug: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise bug

    monkeypatch.setattr(command, "find_policies", broken)
    assert CliRunner().invoke(cli.app, EVALUATE).exception is bug


def test_ctrl_c_at_any_time_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "find_policies", interrupted)
    assert call(*EVALUATE) == (130, "stopped")


def test_help_needs_no_torch() -> None:
    code = "import sys, saccade_env.cli; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_what_was_written_is_named_as_it_is() -> None:
    code, output = call(*EVALUATE, "--limit", "1", "--no-gif", "--out", "res[v2]")
    assert code == 0, output
    assert "wrote res[v2]/records.parquet" in output
    assert Path("res[v2]", "records.parquet").exists()
    name = b"caf\xe9.gif".decode(errors="surrogateescape")
    assert call("record", *QUICK, "--out", name) == (0, "wrote caf\\udce9.gif")
    assert Path(name).exists()
