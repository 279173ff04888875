"""`saccade-env app` and the Space: what is refused before anything is loaded; both start."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from saccade_env import cli
from saccade_env.app.settings import Settings

ROOT = Path(__file__).parents[2]
SPACE = ROOT / "examples" / "space"


def refused(*arguments: str) -> str:
    done = CliRunner().invoke(cli.app, ["app", *arguments], env={"COLUMNS": "200"})
    assert done.exit_code != 0
    return str(done.output)


def test_help_says_what_it_is_and_is_cheap() -> None:
    done = CliRunner().invoke(cli.app, ["app", "--help"], env={"COLUMNS": "200"})
    assert done.exit_code == 0
    for option in ("--host", "--password", "--fixations", "--list", "--timer", "--trials"):
        assert option in done.output
    assert "--share" not in done.output


def test_wrong_values_are_refused_before_networks_are_loaded(tmp_path: Path) -> None:
    pytest.importorskip("gradio", reason='needs gradio: pip install "saccade-env[app]"')
    assert "timer must be a positive number" in refused("--timer", "-3")
    assert "unknown policy 'nobody'" in refused("--no-record", "--policy", "nobody")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        said = refused("--no-record", "--port", str(taken.getsockname()[1]))
    assert "--port 0 takes a free one" in said
    assert "unknown classifier 'nobody'" in refused("--classifier", "nobody")
    foreign = tmp_path / "mine.csv"
    foreign.write_text("mine")
    assert "something else than this page's" in refused("--fixations", str(foreign))
    assert foreign.read_text() == "mine"
    listed = tmp_path / "list.txt"
    listed.write_text("n01514859/hens.jpg\nnobody.jpg\n")
    arguments = ("--images", "sample", "--list", str(listed), "--no-record")
    assert "no picture of 'sample' is called 'nobody.jpg'" in refused(*arguments)


def test_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert 'pip install "saccade-env[app]"' in refused()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"port": 70000}, "port must be 0 to 65535"),
        ({"password": ""}, "password is empty"),
        ({"host": "::1"}, "IPv4 address"),
        ({"tabs": ("watch", "plya")}, "unknown tab 'plya'"),
        ({"trials": 0}, "trials must be"),
        ({"timer": float("nan")}, "timer must be"),
    ],
)
def test_settings_are_checked(wrong: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Settings(**wrong)


def test_only_this_machine_counts_as_local() -> None:
    assert all(Settings(host=host).is_local for host in ("127.0.0.1", "localhost"))
    assert not any(Settings(host=host).is_local for host in ("0.0.0.0", "192.168.0.2"))


def test_the_space_is_what_a_space_needs() -> None:
    head = yaml.safe_load((SPACE / "README.md").read_text(encoding="utf-8").split("---")[1])
    assert {path.name for path in SPACE.iterdir() if path.is_file()} == {
        "README.md", "app.py", "requirements.txt"
    }  # fmt: skip
    assert (head["sdk"], head["app_file"]) == ("gradio", "app.py")
    tomllib = pytest.importorskip("tomllib", reason="needs Python 3.11")
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    name, wanted = re.fullmatch(
        r"([\w-]+)\[([\w,]+)\]\n", (SPACE / "requirements.txt").read_text()
    ).groups()
    assert name == extras["name"]
    assert set(wanted.split(",")) <= set(extras["optional-dependencies"])
    least = re.search(r">=([\d.]+)", extras["optional-dependencies"]["app"][0])[1]
    assert [*map(int, head["sdk_version"].split("."))] >= [*map(int, least.split("."))]


@contextmanager
def started(command: list[str], folder: Path, **environment: str) -> Iterator[str]:
    """Run a page until it says that it is open; its whole output afterwards."""
    log = folder / "log.txt"
    with log.open("w") as file:
        served = subprocess.Popen(
            command, stdout=file, stderr=file, cwd=folder, env={**os.environ, **environment}
        )
    try:
        while "the page is open" not in log.read_text():
            assert served.poll() is None, log.read_text()
            time.sleep(0.2)
        yield log.read_text()
    finally:
        served.terminate()
        served.wait(20)


def status(address: str, form: bytes | None = None) -> int:
    try:
        return int(urllib.request.urlopen(address, form, timeout=20).status)
    except urllib.error.HTTPError as error:
        return error.code


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.mark.slow
def test_the_space_starts(tmp_path: Path) -> None:
    pytest.importorskip("gradio", reason='needs gradio: pip install "saccade-env[app]"')
    port = free_port()
    with (
        started([sys.executable, str(SPACE / "app.py")], tmp_path, GRADIO_SERVER_PORT=str(port)),
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as answer,
    ):
        assert b"saccade-env: where to look" in answer.read()
    assert not (tmp_path / "saccade-runs").exists()


@pytest.mark.slow
def test_a_password_is_asked_for(tmp_path: Path) -> None:
    pytest.importorskip("gradio", reason='needs gradio: pip install "saccade-env[app]"')
    port = free_port()
    command = [
        *(sys.executable, "-m", "saccade_env.cli", "app", "--host", "0.0.0.0", "--no-record"),
        *("--port", str(port), "--policy", "centre", "--classifier", "efficientnet_lite0"),
    ]
    address = f"http://127.0.0.1:{port}"
    with started(command, tmp_path, SACCADE_APP_PASSWORD="open sesame") as said:
        assert "without --password" not in said
        for path in ("/config", "/gradio_api/info", "/gradio_api/queue/data?session_hash=x"):
            assert status(address + path) == 401
        for password, code in (("wrong", 400), ("open sesame", 200)):
            form = f"username=me&password={password.replace(' ', '+')}".encode()
            assert status(f"{address}/login", form) == code
    with started(command, tmp_path) as said:
        assert "everybody who can reach this machine" in said
