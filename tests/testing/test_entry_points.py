"""Policies and classifiers of other packages: found by their metadata, imported when asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import saccade_env
from saccade_env import SaccadeEnv, classifiers, policies, testing
from saccade_env.cli import app
from saccade_env.cli.making import find, find_policies
from saccade_env.registry import Registry

CODE = """
import torch
from saccade_env.policies import SaliencyPolicy
from saccade_env.testing import LinearClassifier

class CornerPolicy(SaliencyPolicy):
    name = "corner"
    sees_full_image = False

    def __init__(self, row: int = 0, **keywords):
        super().__init__(**keywords)
        self.row = row

    def saliency_map(self, images):
        rows, cols = self.grid
        line = torch.arange(rows * cols, 0, -1.0).reshape(rows, cols).roll(self.row, 0)
        return line.expand(len(images), rows, cols)

def fast(device="cpu", image_size=(224, 224)):
    return LinearClassifier(image_size, num_classes=1000)

def stubborn(grid=(14, 14)):
    return CornerPolicy(grid=grid)

constant = 3
"""
POINTS = """
[saccade_env.policies]
corner = corners:CornerPolicy
centre = corners:CornerPolicy
stubborn = corners:stubborn
constant = corners:constant
absent = corners:Absent
gone = corners_that_are_gone:Policy
loud = corners_loud:Policy
no-target = corners
two words = corners:CornerPolicy

[saccade_env.classifiers]
fast = corners:fast [extra]
auto = corners:fast
"""
LEFT_OUT = "ignore:.* is left out:UserWarning"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package as pip leaves it, and registries that have not looked around yet."""
    place = tmp_path / "site"
    described = place / "corners-1.2.dist-info"
    described.mkdir(parents=True)
    (described / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: corners\nVersion: 1.2\nSummary: from the corner on\n"
    )
    (described / "entry_points.txt").write_text(POINTS)
    (place / "corners.py").write_text(CODE)
    (place / "corners_loud.py").write_text("raise SystemExit('needs\\na licence')")
    monkeypatch.syspath_prepend(place)
    for registry in (policies.REGISTRY, classifiers.REGISTRY):
        ours = registry._ours
        for module in ("corners", "corners_loud"):
            monkeypatch.delitem(sys.modules, module, raising=False)
        fresh = Registry(
            registry.kind, ours, registry._is_cached, registry._group, registry._reserved
        )
        home: Any = policies if registry.kind == "policy" else classifiers
        monkeypatch.setattr(home, "REGISTRY", fresh)
    return place


@pytest.mark.filterwarnings(LEFT_OUT)
def test_nothing_is_imported_until_it_is_asked_for(package: Path) -> None:
    assert policies.REGISTRY["corner"].package == "corners 1.2"
    assert "corner" not in policies.available(), "nothing of others runs uninvited"
    find_policies(None, 0, "cpu")
    assert "corners" not in sys.modules
    policy: Any = policies.create("corner:row=3")
    assert policy.row == 3
    testing.check_policy(policy)


@pytest.mark.filterwarnings(LEFT_OUT)
def test_names_work_where_ours_do(package: Path) -> None:
    env = SaccadeEnv("sample", "fast")
    assert env.unwrapped.card["classifier"]["name"] == "linear"
    assert find("corner:row=2", 0, "cpu")((7, 7)).grid == (7, 7)
    testing.check_classifier(classifiers.create("fast"))


def test_ours_win(package: Path) -> None:
    with pytest.warns(UserWarning, match="is left out") as told:
        assert policies.create("centre").name == "centre"
        assert classifiers.REGISTRY.entries
    assert [str(one.message).partition(";")[0] for one in told] == [
        "policy 'centre' of corners 1.2 is left out: saccade_env has one of this name",
        "policy 'two words' of corners 1.2 is left out: a name has letters, digits, '_', '-' and "
        "'.' alone",
        "classifier 'auto' of corners 1.2 is left out: saccade_env has one of this name",
    ]


@pytest.mark.filterwarnings(LEFT_OUT)
@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("gone", ImportError, "policy 'gone' of corners 1.2 is broken: ModuleNotFoundError: No mo"),
        ("absent", ImportError, "is broken: AttributeError: module 'corners' has no attribute"),
        ("loud", ImportError, "is broken: SystemExit: needs a licence"),
        ("constant", ImportError, "is broken: corners:constant is no class or function"),
        ("no-target", ImportError, "is broken: its entry point 'corners' is no 'module:callable'"),
        ("stubborn", ValueError, "of corners 1.2 is built without device; what builds a policy mu"),
        ("corner:column=2", ValueError, "unknown parameter 'column' of policy 'corner'"),
        ("cornr", ValueError, "Did you mean 'corner'"),
    ],
)
def test_what_is_wrong_with_it_is_said(package: Path, name: str, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        find(name, 0, "cpu")((14, 14))


@pytest.mark.filterwarnings(LEFT_OUT)
def test_two_packages_with_one_name(package: Path) -> None:
    other = package / "other-3.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 3\n")
    (other / "entry_points.txt").write_text("[saccade_env.policies]\ncorner = other:Policy\n")
    with pytest.raises(ImportError, match=r"is offered by (corners 1.2|other 3) and .*uninstall"):
        policies.create("corner")


@pytest.mark.filterwarnings(LEFT_OUT)
def test_the_list_shows_what_is_broken(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    done = CliRunner().invoke(app, ["list"])
    assert done.exit_code == 0
    rows = {line.split()[0]: line for line in done.stdout.splitlines() if line.split()}
    assert "from the corner on (corners 1.2)" in rows["corner"]
    assert rows["corner"].split()[-1] == "yes"
    assert "of corners 1.2 is broken: ModuleNotFoundError" in rows["gone"]
    assert "SystemExit: needs a licence" in rows["loud"]
    assert "corners" not in rows["centre"]


def test_an_agent_of_ours_wins(package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from saccade_env.agents import files

    name = files.available()[0]
    (package / "corners-1.2.dist-info" / "entry_points.txt").write_text(
        f"[saccade_env.policies]\n{name} = corners:CornerPolicy\n"
    )
    find(name, 0, "cpu")
    assert "is the agent that came with saccade_env, not the policy of corners 1.2" in (
        capsys.readouterr().err
    )
    assert "corners" not in sys.modules


def snippet(language: str, place: int) -> str:
    """A block of the page about extending, as it is printed."""
    page = Path(__file__).parents[2] / "docs" / "extending.md"
    blocks = page.read_text(encoding="utf-8").split(f"```{language}\n")[1:]
    return blocks[place].partition("```")[0]


def run(*command: str, folder: Path, **environment: str) -> str:
    done = subprocess.run(
        command, cwd=folder, env=os.environ | environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_package_as_the_page_says_works_by_name(tmp_path: Path) -> None:
    pytest.importorskip("setuptools", minversion="77", reason="builds a package offline")
    source, site = tmp_path / "source", tmp_path / "site"
    source.mkdir()
    (source / "pyproject.toml").write_text(snippet("toml", 0), encoding="utf-8")
    (source / "corners.py").write_text(
        snippet("python", 0) + snippet("python", 1), encoding="utf-8"
    )
    install = ("pip", "install", "-q", "--no-deps", "--no-build-isolation", "--target", str(site))
    run(sys.executable, "-m", *install, str(source), folder=tmp_path)
    here = {"PYTHONPATH": str(site), "COLUMNS": "200"}
    options = ("--classifier", "colours", "--limit", "2", "--saccades", "2", "--no-gif")
    named = ("--policy", "corner:corner=2", "--out", "run")
    command = (sys.executable, "-m", "saccade_env.cli", "evaluate")
    run(*command, *named, *options, folder=tmp_path, **here)
    assert (tmp_path / "run" / "records.parquet").stat().st_size > 0
    code = "from saccade_env import classifiers, cli, policies, testing\n"
    code += snippet("python", 2) + "cli.app(['list'])"
    listed = run(sys.executable, "-c", code, folder=tmp_path, **here)
    assert "Looks at corners first (corners 0.1)" in listed


@pytest.mark.parametrize("place", [3, 4])
def test_sources_and_observers_of_the_page_run(place: int) -> None:
    exec(snippet("python", place), {"saccade_env": saccade_env})
