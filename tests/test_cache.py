"""The folder of downloads, and the lock of those who write there."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from saccade_env import cache


def test_lock_lets_one_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inside: list[str] = []
    entered = threading.Event()

    def second() -> None:
        with cache.locked(tmp_path / "file", "waiting for the first"):
            inside.append("second")

    thread = threading.Thread(target=second)
    with cache.locked(tmp_path / "file"):
        thread.start()
        entered.wait(0.25)
        inside.append("first")
    thread.join()
    assert inside == ["first", "second"]
    assert capsys.readouterr().err == "waiting for the first\n"


def test_lock_of_a_dead_process_is_gone(tmp_path: Path) -> None:
    code = f"""
import os
from pathlib import Path
from saccade_env.cache import locked
with locked(Path({str(tmp_path / "file")!r})):
    os._exit(0)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    with cache.locked(tmp_path / "file"):
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="other platforms have other folders")
def test_cache_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SACCADE_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.cache_dir() == tmp_path / ".cache" / "saccade_env"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    assert cache.cache_dir() == tmp_path / "other" / "saccade_env"
    monkeypatch.setenv("SACCADE_CACHE", "~/own")
    assert cache.cache_dir() == tmp_path / "own"


def test_without_a_home_there_is_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SACCADE_CACHE", raising=False)
    monkeypatch.setattr(cache.platformdirs, "user_cache_path", lambda *_, **__: Path("~/.cache"))
    with pytest.raises(RuntimeError, match="set SACCADE_CACHE"):
        cache.cache_dir()
