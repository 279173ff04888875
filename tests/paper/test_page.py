"""The report page: what it must hold and must not ask for, and how a browser shows it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from browser import browser, scrolls_sideways
from matplotlib.figure import Figure as Drawing

from saccade_env.paper import page as pages
from saccade_env.paper.findings import Finding
from saccade_env.paper.page import Figure, Page, Section, Table

ARXIV = "https://arxiv.org/abs/2603.09613"
NASTY = '<script>alert("1 & 2")</script>'


class Elements(HTMLParser):
    """Every element with its attributes and the text directly in it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.all: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.all.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        if self.all and data.strip():
            self.texts.append((self.all[-1][0], data.strip()))

    def of(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.all if name == tag]

    def inside(self, tag: str) -> list[str]:
        return [text for name, text in self.texts if name == tag]


@pytest.fixture
def figures(tmp_path: Path) -> Path:
    """The folder of figures beside the page."""
    folder = tmp_path / "figures"
    folder.mkdir()
    return folder


@pytest.fixture
def figure(figures: Path) -> Figure:
    drawing = Drawing(figsize=(10, 4))
    drawing.subplots().plot([0.2, 0.6, 0.7])
    files = [figures / f"accuracy 3×3.{suffix}" for suffix in ("svg", "png")]
    for file in files:
        drawing.savefig(file, dpi=50)
    return Figure(*files, alt="Accuracy rises with each saccade.")


@pytest.fixture
def page(figure: Figure, tmp_path: Path) -> Page:
    """All there is, with text that would break a page that does not escape."""
    frame = pd.DataFrame(
        np.linspace(0, 1, 40).reshape(2, 20), index=pd.Index(["dino", NASTY], name="policy")
    )
    path = tmp_path / "tables" / f"{NASTY.replace('/', '')}.csv"
    path.parent.mkdir()
    path.write_text(frame.to_csv(), encoding="utf-8")
    return Page(
        title=f"Saccades {NASTY}",
        summary={"classifier": NASTY, "weights hash": "0f" * 32, "command": "saccade-env paper"},
        warnings=[NASTY],
        findings=[finding("yes"), finding("no", note=NASTY), finding("cannot tell", effect=None)],
        sections=[
            Section("figure-3", NASTY, NASTY, NASTY, NASTY, [figure], [Table(NASTY, frame, path)]),
            Section("figure-7", "Entropy", "", "", ""),
        ],
    )


def finding(verdict: Any, **changes: Any) -> Finding:
    values: dict[str, Any] = {
        "key": "rise", "statement": f"attention is above random {NASTY}", "source": "Figure 3",
        "effect": 12.34, "low": -1.0, "high": 20.06, "unit": "points", "note": "",
    }  # fmt: skip
    return Finding(**{**values, "verdict": verdict, **changes})


@pytest.fixture
def one_table(tmp_path: Path) -> Callable[[pd.DataFrame], Elements]:
    """The elements of a page with one table."""

    def build(frame: pd.DataFrame) -> Elements:
        path = tmp_path / "every digit.csv"
        path.write_text(frame.to_csv(), encoding="utf-8")
        section = Section("a", "A", "", "", "", tables=[Table("Accuracy", frame, path)])
        return Elements(pages.render(Page("P", {}, sections=[section])))

    return build


@pytest.fixture
def playing(figure: Figure, figures: Path) -> Page:
    """A page whose figure plays two pictures of a single token."""
    moment = {"visible_share": 0.0, "certainty": 0.5, "top5": [[NASTY, 0.5]], "right": None}
    saccades = [
        {**moment, "fixation": None, "reveals": []},
        {**moment, "fixation": [0, 0], "reveals": [0]},
    ]
    document = {
        "format": "saccade-env/scanpaths", "version": 1, "title": "", "classifier": NASTY,
        "grid": [1, 1], "fovea": 1, "max_saccades": 2, "picture": None, "label": None,
        "full": None,
        "policies": [{"name": NASTY, "sees": "", "saliency": None, "saccades": saccades}],
    }  # fmt: skip
    path = figures / "played.json"
    path.write_text(json.dumps([document, document]), encoding="utf-8")
    plays = replace(figure, scanpaths=path)
    return Page("P", {}, sections=[Section("figure-9", "A", "", "", "", [plays])])


def test_a_figure_that_plays_keeps_its_picture_and_brings_one_script(playing: Page) -> None:
    html = pages.render(playing)
    elements = Elements(html)
    (player,) = elements.of("saccade-player")
    assert json.loads(player["data-scanpaths"])[1]["policies"][0]["name"] == NASTY
    assert len(elements.of("script")) == len(elements.of("img")) == 1
    code = html.split("<script>")[1].split("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    policy = elements.of("meta")[3]["content"]
    assert policy.startswith("default-src 'none'")
    assert policy.endswith(f"; script-src 'sha256-{digest}'")
    assert "figures/played.json" in [a["href"] for a in elements.of("a")]


@pytest.mark.parametrize("text", ["[", "{}", "3", '[{"format": "another"}]'])
def test_damaged_scanpaths_are_named(playing: Page, figures: Path, text: str) -> None:
    (figures / "played.json").write_text(text)
    with pytest.raises(OSError, match=r"played\.json cannot be read: "):
        pages.render(playing)


def test_every_picture_is_inside_the_page_and_has_a_text(page: Page) -> None:
    pictures = Elements(pages.render(page)).of("img")
    assert len(pictures) == 1
    assert all(picture["alt"].strip() for picture in pictures)
    assert all(picture["src"].startswith("data:image/svg+xml;base64,") for picture in pictures)


def test_nothing_is_asked_of_a_network(page: Page) -> None:
    elements = Elements(pages.render(page))
    assert not elements.of("script")
    assert not elements.of("iframe")
    for tag, attributes in elements.all:
        for name in {"src", "srcset", "href", "action", "poster"} & attributes.keys():
            address = attributes[name]
            assert address.startswith(("data:", "#", "figures/")) or (tag, address) == ("a", ARXIV)
    assert "default-src 'none'" in elements.of("meta")[3]["content"]


def test_text_is_escaped_everywhere(page: Page) -> None:
    html = pages.render(page)
    assert "<script" not in html
    assert html.count("&lt;script&gt;") >= 12


def test_every_address_on_the_page_exists_once(page: Page) -> None:
    elements = Elements(pages.render(page))
    names = [attributes["id"] for _, attributes in elements.all if "id" in attributes]
    assert len(names) == len(set(names))
    wanted = [a["href"][1:] for a in elements.of("a") if a["href"].startswith("#")]
    wanted += [attributes["for"] for attributes in elements.of("label")]
    wanted += [a["aria-labelledby"] for _, a in elements.all if "aria-labelledby" in a]
    assert set(wanted) <= set(names)
    assert {"run", "findings", "s-figure-3", "s-figure-7", "main"} <= set(wanted)


def test_figures_can_be_downloaded_from_their_folder(page: Page) -> None:
    links = [a for a in Elements(pages.render(page)).of("a") if a["href"].startswith("figures/")]
    assert [a["href"] for a in links] == [
        "figures/accuracy%203%C3%973.svg",
        "figures/accuracy%203%C3%973.png",
    ]
    assert [a["download"] for a in links] == ["accuracy 3×3.svg", "accuracy 3×3.png"]


def test_a_large_drawing_is_shown_in_pixels(figure: Figure) -> None:
    assert figure.shown == figure.svg
    with figure.svg.open("a") as file:
        file.write(" " * pages.LARGEST_SVG)
    assert figure.shown == figure.png
    assert len(figure.files) == 2


@pytest.mark.parametrize("alt", ["", " \n"])
def test_a_figure_without_a_text_is_refused(alt: str) -> None:
    with pytest.raises(ValueError, match=r"cannot see it: b\.png"):
        Figure(Path("a.svg"), Path("b.png"), alt)


def test_verdicts_are_words_and_counted(page: Page) -> None:
    elements = Elements(pages.render(page))
    badges = [a["class"].split() for a in elements.of("span") if "verdict" in a.get("class", "")]
    assert badges == [["verdict", "yes"], ["verdict", "no"], ["verdict", "cannot-tell"]]
    assert {"yes", "no", "cannot tell"} <= set(elements.inside("span"))
    assert "Yes: 1. No: 1. Cannot tell: 1." in pages.render(page)
    with pytest.raises(ValueError, match="'perhaps'"):
        finding("perhaps")


def test_effects_are_rounded_with_their_interval() -> None:
    findings = [finding("yes"), finding("no", effect=float("nan"), low=None)]
    elements = Elements(pages.render(Page("P", {}, findings=findings)))
    assert ("td", "12.3 points") in elements.texts
    assert ("small", "−1.0 to 20.1") in elements.texts
    assert ("td", pages.MISSING) in elements.texts


def test_a_source_without_a_section_is_no_link() -> None:
    html = pages.render(Page("P", {}, findings=[finding("yes")]))
    assert "Figure 3" in html
    assert "#s-figure-3" not in html


def test_empty_parts_say_so() -> None:
    html = pages.render(Page("P", {}, sections=[Section("figure-7", "Entropy", "", "", "")]))
    assert "this analysis was not run" in html
    assert "No finding was tested" in html
    assert "Beware" not in html
    assert not {"figure", "table", "img", "details"} & {tag for tag, _ in Elements(html).all}


def test_tables_are_folded_and_rounded_by_column(one_table: Any) -> None:
    frame = pd.DataFrame(
        {
            "share": [0.12345, 2e-6], "percent": [12.345, float("nan")], "images": [50000, -7],
            "whole": [3.0, 1.0], "right": [True, False], "mixed": [np.float32(0.5), None],
        },
        index=pd.Index([1, 2], name="saccade"),
    )  # fmt: skip
    elements = one_table(frame)
    assert "open" not in elements.of("details")[0]
    assert elements.inside("summary") == ["Accuracy"]
    assert elements.inside("caption") == ["Accuracy, rounded"]
    heads = elements.inside("th")
    assert heads == ["saccade", *frame.columns, "1", "2"]
    assert [a["scope"] for a in elements.of("th")] == ["col"] * 7 + ["row"] * 2
    first, second = elements.inside("td")[:6], elements.inside("td")[6:]
    assert first == ["0.123", "12.3", "50,000", "3", "yes", "0.500"]
    assert second == ["2e−06", "–", "−7", "1", "no", "–"]


def test_a_table_brings_its_csv_file(one_table: Any) -> None:
    frame = pd.DataFrame({"a": [0.123456789]}, index=pd.Index(["x, y"], name="policy"))
    link = next(a for a in one_table(frame).of("a") if "csv" in str(a))
    content = base64.b64decode(link["href"].split("base64,")[1]).decode()
    assert content == 'policy,a\n"x, y",0.123456789\n'
    assert link["download"] == "every digit.csv"


def test_rows_of_several_levels(one_table: Any) -> None:
    index = pd.MultiIndex.from_tuples([("a", 3), ("b", np.nan)], names=["policy", "first"])
    elements = one_table(pd.DataFrame({"x": [1, 2]}, index=index))
    assert elements.inside("th") == ["policy", "first", "x", "a", "3", "b", "–"]


def test_a_long_table_is_cut_and_says_so(one_table: Any) -> None:
    elements = one_table(pd.DataFrame({"a": range(1000)}))
    assert len(elements.inside("td")) == pages.ROWS_SHOWN
    assert elements.inside("caption") == ["Accuracy, rounded; the first 200 of 1000 rows"]


def test_an_empty_table_is_no_error(one_table: Any) -> None:
    assert one_table(pd.DataFrame()).inside("summary") == ["Accuracy"]


def test_the_page_is_written_whole_or_not_at_all(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = pages.write(page, tmp_path / "report.html")
    before = path.read_text(encoding="utf-8")
    assert before == pages.render(page)

    def fail(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="full"):
        pages.write(Page("Another", {}), path)
    assert path.read_text(encoding="utf-8") == before
    assert {file.name for file in tmp_path.iterdir()} == {"figures", "report.html", "tables"}


def test_a_figure_that_lies_elsewhere_is_refused(page: Page, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="figures must lie in"):
        pages.write(page, tmp_path / "elsewhere" / "report.html")


def test_findings_as_plain_data() -> None:
    run = {"images": np.int64(3), "shape": (1, 2), "loss": float("inf"), "path": Path("a")}
    data = pages.findings_json([finding("no", effect=float("nan"), low=np.float32(0.5))], run)
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert data["run"] == {"images": 3, "shape": [1, 2], "loss": None, "path": "a"}
    assert data["findings"][0]["effect"] is None
    assert data["findings"][0]["low"] == 0.5
    assert data["findings"][0]["verdict"] == "no"


@pytest.mark.slow
def test_a_browser_shows_the_page(page: Page, tmp_path: Path) -> None:
    address = pages.write(page, tmp_path / "report.html").as_uri()
    backgrounds = {}
    with browser() as running:
        for scheme in ("light", "dark"):
            tab = running.open(address, 390, 844, scheme)
            tab.eval_on_selector_all("details", "all => all.forEach(one => one.open = true)")
            pictures = tab.eval_on_selector_all(
                "img", "all => all.map(i => [i.naturalWidth, i.alt])"
            )
            assert pictures
            assert all(width > 0 and alt.strip() for width, alt in pictures)
            assert scrolls_sideways(tab, "details .box"), "the wide table has no bar of its own"
            assert not scrolls_sideways(tab)
            tab.click("label")
            assert tab.evaluate("document.querySelector('img').clientWidth") > 390
            assert not scrolls_sideways(tab)
            backgrounds[scheme] = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert running.complaints == []
    assert [url for url in running.asked if not url.startswith(address)] == []
    assert backgrounds["light"] != backgrounds["dark"]


@pytest.mark.slow
def test_a_browser_plays_the_scanpaths(playing: Page, tmp_path: Path) -> None:
    address = pages.write(playing, tmp_path / "report.html").as_uri()
    with browser() as running:
        tab = running.open(address, 390, 844)
        assert tab.locator("saccade-player .place").inner_text() == "Saccade 1 of 2"
        assert tab.get_by_role("radio").count() == 2 + 3, "two pictures to choose from"
        assert not scrolls_sideways(tab)
        unplayed = running.open(address, java_script_enabled=False)
        assert not unplayed.locator("saccade-player").is_visible()
        assert unplayed.locator("img").is_visible()
    assert running.complaints == []
