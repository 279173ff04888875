"""What is published: versions that agree, bounds that were tried, wheels that hold the package."""

from __future__ import annotations

import importlib.util
import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version
from projects import ROOT, project


@pytest.fixture(scope="module")
def check_dist() -> Any:
    spec = importlib.util.spec_from_file_location("check_dist", ROOT / ".ci" / "check_dist.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def build(check_dist: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Writes a wheel and an sdist of a package of two files, and others, less what is left out."""
    files = {"saccade_env/core.py", "agents/net.py"}
    monkeypatch.setattr(check_dist, "package_files", lambda: files)

    def write(*others: str, without: str = "") -> Path:
        wheel = {check_dist.installed(path) for path in files} | {"a-1.dist-info/METADATA", *others}
        with zipfile.ZipFile(tmp_path / "a-1-py3-none-any.whl", "w") as archive:
            for name in wheel - {check_dist.installed(without)}:
                archive.writestr(name, "")
        with tarfile.open(tmp_path / "a-1.tar.gz", "w:gz") as archive:
            for name in (check_dist.SDIST | files) - {without}:
                archive.addfile(tarfile.TarInfo(f"a-1/{name}"), io.BytesIO())
        return tmp_path

    return write


def test_the_lowest_versions_are_the_bounds() -> None:
    lines = (ROOT / "constraints" / "lowest.txt").read_text().splitlines()
    pinned = dict(line.split("==") for line in lines if not line.startswith("#"))
    needs = [Requirement(text) for text in project()["dependencies"]]
    assert [*pinned] == sorted(need.name for need in needs)
    bounds = {need.name: [bound] for need in needs for bound in need.specifier}
    told = {name: (bound.operator, Version(bound.version)) for name, [bound] in bounds.items()}
    assert told == {name: (">=", Version(version)) for name, version in pinned.items()}


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    described = project()
    assert (citation["version"], citation["title"]) == (described["version"], described["name"])
    assert citation["license"] == described["license"]
    assert citation["references"][0]["url"] == described["urls"]["Paper"]


def test_a_whole_wheel_passes(build: Any, check_dist: Any, capsys: Any) -> None:
    check_dist.check(build())
    check_dist.check(build(), "v1")
    assert capsys.readouterr().out.startswith("2 files of the package, a-1-py3-none-any.whl: ")


@pytest.mark.parametrize(
    ("others", "without", "message"),
    [
        ([], "agents/net.py", "the wheel lacks saccade_env/agents/net.py\nthe sdist lacks agents/"),
        ([], "README.md", "the sdist lacks README.md"),
        (["tests/test_a.py"], "", "the wheel holds tests/test_a.py"),
        (["saccade_env/notes.txt"], "", "the wheel holds saccade_env/notes.txt"),
    ],
)
def test_what_is_missing_or_too_much_is_named(
    build: Any, check_dist: Any, others: list[str], without: str, message: str
) -> None:
    with pytest.raises(SystemExit, match=f"^{message}"):
        check_dist.check(build(*others, without=without))


def test_another_tag_and_a_large_file_are_refused(
    build: Any, check_dist: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit, match=r"^the tag is v2, and the version 1$"):
        check_dist.check(build(), "v2")
    monkeypatch.setattr(check_dist, "MOST_BYTES", 100)
    with pytest.raises(SystemExit, match=r"whl has \d+ bytes, more than 100\na-1.tar.gz has"):
        check_dist.check(build())
