"""What of the paper's analyses goes to the Hub."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from saccade_env.paper.hub import publication
from saccade_env.paper.run import run_paper


@pytest.mark.slow
def test_records_findings_tables_and_figures_but_no_page(
    settings: Callable[..., Any], make_policy: Any
) -> None:
    asked = settings(only=(3,), policies=("centre", "random"), limit=2)
    results = run_paper(asked, make_policy)
    folder = results.folder
    (folder / "mine.png").write_bytes(b"mine")
    (folder / "figures" / "mine.png").write_bytes(b"mine")
    made = publication(folder, "me/paper")
    assert made.kind == "paper"
    assert {"run.json", "results.json", "findings.json"} <= {*made.names}
    assert any(name.startswith("figures/") for name in made.names)
    assert any(name.startswith("tables/") for name in made.names)
    assert not any(name.endswith(("mine.png", ".html", ".svg")) for name in made.names)
    tables = yaml.safe_load(made.card.split("---\n")[1])["configs"]
    assert [one["data_files"] in made.names for one in tables] == [True] * len(tables)
    assert len(tables) == len({*(folder / "runs").iterdir()})
    found = json.loads((folder / "findings.json").read_text())["findings"]
    assert all(one["statement"].replace("|", "\\|") in made.card for one in found)
    (folder / tables[0]["data_files"]).unlink()
    with pytest.raises(OSError, match="holds no finished evaluation: it lacks records.parquet"):
        publication(folder, "me/paper")
