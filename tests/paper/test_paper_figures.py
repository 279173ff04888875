"""The paper's figures, their tables, and the report that holds them."""

from __future__ import annotations

import base64
import json
import re
import runpy
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import matplotlib
import pandas as pd
import pytest
from PIL import Image

from saccade_env.drawing import style
from saccade_env.evaluation import metrics
from saccade_env.paper.figures import RECIPES, Output, asked
from saccade_env.paper.page import Section
from saccade_env.paper.results import ATTENTION, DEEP, Results
from saccade_env.paper.run import write_report

pytestmark = pytest.mark.slow  # every experiment or figure, for half a minute

Make = Callable[..., Results]
SYNTHETIC = Path(__file__).with_name("synthetic.py")
NUMBERS = [3, 4, 5, 6, 7, 10, 11, 17, 18]


def sections(results: Results, out: Output) -> list[Section]:
    return [recipe.section(results, out) for recipe in asked(results.figures)]


@pytest.fixture(scope="module")
def make_results() -> Make:
    return runpy.run_path(str(SYNTHETIC))["build"]


@pytest.fixture(scope="module")
def results(make_results: Make) -> Results:
    return make_results(images=60)


@pytest.fixture(scope="module")
def drawn(results: Results, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Section]:
    """Every section, drawn once."""
    folder = tmp_path_factory.mktemp("report")
    drawn = sections(replace(results, figures=tuple(NUMBERS)), Output(folder))
    return {section.key: section for section in drawn}


def test_every_figure_is_drawn_twice(drawn: dict[str, Section]) -> None:
    assert [*drawn] == [f"figure {number}" for number in NUMBERS]
    for section in drawn.values():
        assert len(section.figures) == 1
        svg, png = section.figures[0].files
        assert svg.parent.name == "figures"
        assert "<text" not in svg.read_text(), "text is drawn as paths"
        assert "<path" in svg.read_text()
        with Image.open(png) as image:
            assert image.width == 1500, "10 inches"
            colours = image.convert("RGB").getcolors(2**24)
        assert colours is not None
        assert len(colours) > 50, "not blank"
        assert not list(svg.parent.glob("*.tmp*"))


def test_sections_tell_what_was_measured(drawn: dict[str, Section], results: Results) -> None:
    for section in drawn.values():
        assert re.search(r"\d", section.shows)
        assert not re.search(r"\bnan\b|None", section.shows + section.caption)
        assert section.paper
        assert section.shows in section.figures[0].alt, "the main numbers are in the text"
        assert len(section.figures[0].alt) > len(section.shows)
    full = metrics.full_image(results.records["fovea 3"])["accuracy"]
    assert f"full image: {100 * full:.1f} %" in drawn["figure 3"].shows
    last = metrics.per_saccade(results.records["fovea 3"]).loc["focus-attention"].iloc[-1]
    assert f"{100 * last['accuracy']:.1f} % under Focus attention" in drawn["figure 3"].shows


def read(section: Section, place: int, index: list[str]) -> pd.DataFrame:
    path = section.tables[place].path
    assert path.parent.name == "tables"
    return pd.read_csv(path).set_index(index)


def test_tables_are_the_metrics(drawn: dict[str, Section], results: Results) -> None:
    main = results.records["fovea 3"]
    means = metrics.per_saccade(main)
    table = read(drawn["figure 3"], 0, ["experiment", "policy", "saccade"]).loc["fovea 3"]
    for column in ("accuracy", "cumulative_accuracy", "visible_share"):
        assert table[column].to_numpy() == pytest.approx(means.loc[:, column].to_numpy())
        assert (table[f"{column}_low"] <= table[column] + 1e-9).all()
    pair = main[main["policy"].isin(("focus-attention", "random"))]
    expected = {
        ("figure 4", 1): metrics.transitions(pair),
        ("figure 4", 2): metrics.correct_counts(pair),
        ("figure 5", 0): metrics.certainty_where_full_right(main),
        ("figure 5", 1): metrics.certainty_by_first_correct(pair),
        ("figure 7", 1): metrics.entropy_relation(results.entropies(), main),
        ("figure 11", 1): metrics.distance_from_first(main),
        ("figure 11", 2): metrics.unique_area(main, (18, 24), 3),
    }
    for (key, place), frame in expected.items():
        found = read(drawn[key], place, list(frame.index.names))
        pd.testing.assert_frame_equal(found, frame, check_dtype=False, check_index_type=False)
    layers = read(drawn["figure 6"], 0, ["policy"])
    bounds = metrics.bootstrap(results.records["layers"], "focus-attention:layer=3")
    names = ["accuracy", "accuracy_low", "accuracy_high"]
    assert layers.loc["focus-attention:layer=3", names].tolist() == pytest.approx([*bounds])
    crops = read(drawn["figure 10"], 0, ["policy"])
    right = results.records["crops"].groupby("policy")["correct"].mean()
    assert crops["accuracy"].to_dict() == pytest.approx(right.to_dict())
    heat = read(drawn["figure 17"], 0, ["resolution", "layer"])
    own = results.records["layers and resolutions"]
    own = own[own["policy"] == "focus-attention:layer=5,resolution=96"]
    assert heat.loc[(96, 5), "accuracy"] == pytest.approx(own["correct"].mean())
    prices = read(drawn["figure 18"], 1, ["policy", "windows"])
    own = own[own["saccade"] == 2]
    found = prices.loc[("focus-attention:layer=5,resolution=96", 2)]
    assert found["accuracy"] == pytest.approx(own["correct"].mean())
    assert found["visible_share"] == pytest.approx(own["visible_share"].mean())
    total = found["map_gflops"] + found["classifier_gflops"]
    assert found["cost"] == pytest.approx(total / 24)
    assert prices.loc["centre", "map_gflops"].eq(0).all()
    assert prices["efficient"].sum() == len(read(drawn["figure 18"], 0, ["policy", "windows"]))


def test_captions_name_the_networks(
    drawn: dict[str, Section], results: Results, tmp_path: Path
) -> None:
    for section in drawn.values():
        assert (
            "EfficientNet-Lite0 with Focus attention and Focus saliency; the paper uses "
            "DINO ViT-S/16 and UNISAL."
        ) in section.caption
    run = {"classifier": {"name": "dino_vits16"}, "paper_setting": True}
    roles = results.roles | {ATTENTION: "dino"}
    records = {"fovea 3": results.records["fovea 3"].replace("focus-attention", "dino")}
    own = replace(results, run=run, roles=roles, records=records, figures=(7,))
    (section,) = sections(own, Output(tmp_path))
    assert "DINO ViT-S/16 with DINO attention, as in the paper" in section.caption
    other = replace(own, run={**run, "paper_setting": False})
    assert "with DINO attention and Focus saliency; the paper uses UNISAL." in other.networks()
    random = replace(other, roles=roles | {DEEP: "unisal"})
    assert "other networks or weights of this run are not the paper’s" in random.networks()
    chance = own.records["fovea 3"].assign(full_prediction=5)
    random = replace(own, roles=random.roles, records={"fovea 3": chance})
    assert "weights of this run are not the paper’s" in random.networks()
    assert random.suspicion().startswith("DINO ViT-S/16 is right on 0.0 % of the full images here")
    assert not own.suspicion()
    page = write_report(random, Output(tmp_path / "doubtful")).read_text(encoding="utf-8")
    assert "and on 77.0 % of ImageNet’s as it was published" in page


def test_what_was_not_run_is_said(results: Results, tmp_path: Path) -> None:
    for section in sections(Results({}, {}), Output(tmp_path)):
        assert (section.figures, section.tables) == ((), ())
        assert section.shows.startswith("There is no such figure: ")
        assert section.paper
    some = replace(
        results,
        records={name: results.records[name] for name in ("fovea 3", "layers", "crops")},
        roles={role: policy for role, policy in results.roles.items() if role != DEEP},
    )
    some = replace(some, figures=(3, 6, 10, 11, 17))
    told = {section.key: section for section in sections(some, Output(tmp_path))}
    assert "“fovea 5” was not run" in told["figure 3"].shows
    assert "“resolutions” was not run" in told["figure 6"].shows
    assert "“unisal 288x384” was not run" in told["figure 10"].shows
    assert told["figure 11"].figures, "from the main experiment"
    assert "“layers and resolutions” was not run" in told["figure 17"].shows
    assert not told["figure 17"].figures


def test_without_labels_or_with_an_odd_policy_figures_are_drawn(
    make_results: Make, tmp_path: Path
) -> None:
    few = make_results(images=4)
    main = few.records["fovea 3"]
    odd = main[main["policy"] == "gbvs"].assign(policy="my-agent", label=-1)
    records = {"fovea 3": pd.concat([main.assign(label=-1), odd], ignore_index=True)}
    *drawn, entropy = sections(replace(few, records=records, figures=(3, 5, 7)), Output(tmp_path))
    for section in drawn:
        assert section.figures
        assert "–" in section.shows
    assert "no image has a label" in entropy.shows


def test_a_single_saccade_is_drawn_too(make_results: Make, tmp_path: Path) -> None:
    main = make_results(images=30).records["fovea 3"]
    one = make_results(images=30, records={"fovea 3": main[main["saccade"] == 1]})
    for section in sections(replace(one, figures=(4, 5)), Output(tmp_path)):
        assert section.figures
    assert {finding.verdict for finding in RECIPES[4].findings(one)} == {"cannot tell"}


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 1.0, 1.0], [0.0, 0.1, 5.0, 5.05, 5.1]])
def test_names_keep_apart(values: list[float]) -> None:
    placed = style._apart(values, 0.5)
    assert len(placed) == len(values)
    assert all(after - before >= 0.5 - 1e-9 for before, after in pairwise(placed))
    assert sum(placed) == pytest.approx(sum(values))


@pytest.fixture(scope="module")
def report(results: Results, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with one figure and a picture, twice: the second is as the first."""
    folder = tmp_path_factory.mktemp("whole")
    picture = folder / "figures" / "scanpaths.png"
    picture.parent.mkdir()
    Image.new("RGB", (20, 20), "red").save(picture)
    picture.with_suffix(".svg").write_text("<svg/>")
    drawn = {"figure": 8, "alt": "Scanpaths on four pictures."}
    drawn |= {kind: f"figures/scanpaths.{kind}" for kind in ("svg", "png")}
    run = {**results.run, "notes": ["no UNISAL"], "seed": 0, "pictures": [drawn]}
    one = replace(results, run=run, figures=(7, 8), folder=folder)
    first = write_report(one, Output(folder), ["few images"])
    before = {path: path.read_bytes() for path in written(folder)}
    write_report(one, Output(folder), ["few images"])
    assert before == {path: path.read_bytes() for path in written(folder)}
    return first


def written(folder: Path) -> list[Path]:
    return [*folder.glob("tables/*.csv"), *folder.glob("*.json"), *folder.glob("figures/*")]


def test_the_report_is_whole(report: Path) -> None:
    html = report.read_text()
    pictures = re.findall(r"<img [^>]*>", html)
    assert len(pictures) == 2
    for picture in pictures:
        alt = re.search(r'alt="([^"]*)"', picture)
        assert alt
        assert alt[1].strip()
    places = [html.index(f'id="s-figure-{number}"') for number in (7, 8)]
    assert places == sorted(places), "in the order of the paper"
    for text in ("no UNISAL", "few images", "EfficientNet-Lite0", "fovea 3 (60 images)"):
        assert text in html
    tables = re.findall(r"data:text/csv;charset=utf-8;base64,([^\"]*)", html)
    contents = {path.read_bytes() for path in report.parent.glob("tables/*.csv")}
    assert {base64.b64decode(table) for table in tables} == contents


def test_findings_are_in_a_file(report: Path) -> None:
    plain = json.loads((report.parent / "findings.json").read_text())
    assert plain["run"]["paper_setting"] is False
    assert {finding["source"] for finding in plain["findings"]} == {"figure 7"}
    assert {finding["verdict"] for finding in plain["findings"]} <= {"yes", "cannot tell"}
    assert all(finding["statement"] in report.read_text() for finding in plain["findings"])


def test_an_empty_report_is_one_too(tmp_path: Path) -> None:
    html = write_report(Results({}, {}), Output(tmp_path / "deep" / "out")).read_text()
    assert "Cannot tell" in html
    assert html.count("this analysis was not run") == len(RECIPES)


def test_nothing_global_is_touched(results: Results, tmp_path: Path) -> None:
    before = dict(matplotlib.rcParams)
    sections(replace(results, figures=(17,)), Output(tmp_path))
    assert dict(matplotlib.rcParams) == before
