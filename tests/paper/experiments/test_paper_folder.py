"""The folder of the paper's run: another run, foreign files and damaged ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from saccade_env.paper import run

DAMAGED = ["", "[]", "3", "{", "null", "{}", '{"figures": 3, "pictures": []}',
           '{"figures": [4], "pictures": [3]}', '{"figures": ["x"], "pictures": []}']  # fmt: skip
FOREIGN = ("mine.txt", "runs/my-agent/agent.json", "figures/thesis.png", "tables/notes.csv",
           "runs/fovea-3/notes.txt", ".saccade-notes", "chapter.tmp")  # fmt: skip


@pytest.fixture
def asked(settings: Any) -> Any:
    """Settings of a small run: a figure of a single policy."""
    return lambda **changes: settings(**{"only": (4,), "policies": ("random",), **changes})


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_overwriting_removes_what_the_other_run_wrote_and_nothing_else(
    asked: Any, make_policy: Any
) -> None:
    out = asked().out
    run.run_paper(asked(), make_policy)
    assert {"figures/figure-4.svg", "runs/fovea-3/records.parquet"} < files(out)
    with pytest.raises(FileExistsError, match="holds another run, with other seed"):
        run.run_paper(asked(seed=1), make_policy)
    for name in FOREIGN:
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_text("mine")
    assert not run.run_paper(asked(only=(12,), seed=1, overwrite=True), make_policy).records
    own = {"run.json", "manifest.json", "results.json", "report.html", "findings.json",
           "figures/12-maps.svg", "figures/12-maps.png"}  # fmt: skip
    assert files(out) == own | {*FOREIGN}
    assert all((out / name).read_text() == "mine" for name in FOREIGN)
    assert json.loads((out / "results.json").read_text())["run"]["seed"] == 1


@pytest.mark.parametrize("name", ["report.html", "findings.json", "results.json", "run.json"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_foreign_file_is_left_as_it_is(
    asked: Any, make_policy: Any, name: str, overwrite: bool
) -> None:
    out = asked().out
    out.mkdir()
    (out / name).write_text('{"of": "somebody else"}')
    with pytest.raises(FileExistsError, match=str(out)) as error:
        run.run_paper(asked(overwrite=overwrite), make_policy)
    assert "--overwrite" not in str(error.value)
    assert files(out) == {name}
    assert (out / name).read_text() == '{"of": "somebody else"}'


@pytest.mark.slow
def test_a_damaged_file_is_named_with_what_to_do(asked: Any, make_policy: Any) -> None:
    out = asked().out
    run.run_paper(asked(), make_policy)
    records, results = out / "runs/fovea-3/records.parquet", out / run.RESULTS
    whole, described = records.read_bytes(), results.read_text()
    for text in DAMAGED:
        results.write_text(text)
        with pytest.raises(OSError, match=r"results\.json"):
            run.run_paper(asked(), make_policy)
        with pytest.raises(OSError, match=r"results\.json"):
            run.load_results(out)
    results.unlink()
    (out / run.FINDINGS).write_text("[")
    records.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(OSError, match=r"records\.parquet cannot be used: it is damaged"):
        run.run_paper(asked(), make_policy)
    records.unlink()
    run.run_paper(asked(), make_policy)
    assert records.read_bytes() == whole
    assert results.read_text() == described
    assert json.loads((out / run.FINDINGS).read_text())["findings"]
