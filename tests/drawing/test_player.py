"""The player: what a page holds, and what a person sees and does in a browser."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch
from browser import Browser, browser, scrolls_sideways

from saccade_env import geometry
from saccade_env.drawing import player, style
from saccade_env.drawing.scanpaths import Run

from .conftest import CONFIG, NAMES

NASTY = """</script><img src=x onerror=alert(1)>'"&<!--"""


@pytest.fixture(scope="module")
def document(runs: list[Run]) -> dict[str, Any]:
    full = torch.arange(7.0)
    return player.scanpaths(runs, CONFIG, NAMES, full=full, title="A title", classifier="linear")


class Elements(HTMLParser):
    """Elements with their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.all: list[tuple[str, dict[str, Any]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.all.append((tag, dict(attrs)))

    def of(self, tag: str) -> list[dict[str, Any]]:
        return [attributes for name, attributes in self.all if name == tag]


def test_any_text_comes_through_the_markup(document: dict[str, Any]) -> None:
    nasty = copy.deepcopy(document) | {"title": NASTY, "label": NASTY}
    nasty["policies"][0]["name"] = NASTY
    markup = player.element(
        [nasty, document], theme="dark", autoplay=True, hidden=False, title="'\""
    )
    ((tag, attributes),) = Elements(markup).all
    assert tag == "saccade-player"
    assert json.loads(attributes.pop("data-scanpaths")) == [nasty, document]
    assert attributes == {"theme": "dark", "autoplay": None, "title": "'\""}


def test_the_script_is_one_text_with_the_house_colours() -> None:
    script = player.script()
    assert not re.search(r"</script|<!--|\{\{|\beval\b|innerHTML|https?://(?!www\.w3\.org/2000/svg)",
                         script)  # fmt: skip
    for colour in (style.BLUE, style.ORANGE, style.YELLOW, style.SKY, style.INK):
        assert colour in script
    assert ".stage" in script


def test_a_page_needs_nothing_else(document: dict[str, Any]) -> None:
    html = player.page([document | {"title": NASTY}, document], NASTY)
    elements = Elements(html)
    assert [len(elements.of(tag)) for tag in ("saccade-player", "table", "script")] == [2, 2, 1]
    assert elements.of("html") == [{"lang": "en"}]
    assert not [a for _, a in elements.all if {"src", "onerror"} & a.keys()]
    assert "<title>&lt;/script&gt;" in html
    policy = next(a for a in elements.of("meta") if "http-equiv" in a)["content"]
    code = html.split("<script>")[1].split("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'; img-src data:" in policy
    assert "unsafe" not in policy
    assert "<noscript>" in html


def test_a_page_refuses_what_it_cannot_hold(document: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must hold its pictures: .*got 'https://a/b.jpg'"):
        player.page([document | {"picture": "https://a/b.jpg"}], "t")
    with pytest.raises(ValueError, match="of version 1; got 7"):
        player.page([document | {"version": 7}], "t")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as running:
        yield running
    assert running.complaints == []


@pytest.fixture
def address(document: dict[str, Any], tmp_path: Path) -> str:
    path = tmp_path / "page.html"
    path.write_text(player.page([document], "Two policies"), encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def bare(chromium: Browser) -> Any:
    """A page of somebody else's with the script alone."""
    tab = chromium.open()
    tab.set_content(f"<!doctype html><body><script>{player.script()}</script><div></div>")
    return tab


def put(tab: Any, markup: str) -> None:
    tab.evaluate("markup => { document.querySelector('div').innerHTML = markup }", markup)


def place(tab: Any) -> Any:
    return tab.locator(".place").inner_text()


def wait_for(tab: Any, saccades: str) -> None:
    """Until one of these saccades is shown."""
    tab.locator(".place", has_text=re.compile(f"^Saccade {saccades} of 6$")).wait_for()


def level(tab: Any, row: int, col: int, card: int = 0) -> list[int]:
    """Colour at a token's upper left, which no mark covers."""
    return list(
        tab.locator("canvas")
        .nth(card)
        .evaluate(
            """(canvas, [row, col]) => {
                const side = canvas.width / 14, at = (place) => Math.round((place + 0.2) * side);
                const often = { willReadFrequently: true };
                const own = new OffscreenCanvas(1, 1).getContext("2d", often);
                own.drawImage(canvas, -at(col), -at(row));
                return [...own.getImageData(0, 0, 1, 1).data];
            }""",
            [row, col],
        )
    )


@pytest.mark.slow
def test_a_person_steps_scrubs_and_plays(chromium: Browser, address: str) -> None:
    tab = chromium.open(address)
    assert place(tab) == "Saccade 0 of 6", "it does not play by itself"
    assert tab.locator(".fixation").count() == 0
    tab.get_by_role("button", name="Step forward").click()
    assert place(tab) == "Saccade 1 of 6"
    assert tab.locator("article").nth(0).locator(".fixation").all_text_contents() == ["1"]
    box = tab.locator("rect.fovea:not(.under)").nth(0)
    assert [box.get_attribute(name) for name in ("x", "y", "width", "height")] == [
        "0",
        "0",
        "48",
        "48",
    ]
    status = tab.get_by_role("status")
    assert re.match(r"saccade 1 of 6; corners: .+ \d+\s%( \(\w+\))?, certainty 0\.\d\d; shy: ",
                    status.inner_text())  # fmt: skip
    tab.get_by_role("button", name="Last").click()
    counts = [tab.locator("article").nth(card).locator(".fixation").count() for card in (0, 1)]
    assert counts == [6, 2], "one that stopped stays at its end"
    assert "stopped after 2" in tab.locator("article").nth(1).inner_text()
    assert "stopped" not in tab.locator("article").nth(0).inner_text()
    tab.get_by_role("slider", name="Saccade").fill("4")
    assert place(tab) == "Saccade 4 of 6"
    assert tab.get_by_role("slider").get_attribute("aria-valuetext") == "saccade 4 of 6"
    tab.get_by_role("button", name="First").click()
    tab.get_by_role("combobox", name="Speed").select_option("4")
    said = status.inner_text()
    tab.get_by_role("button", name="Play").click()
    wait_for(tab, "[1-5]")
    assert status.inner_text() == said, "it does not speak at every frame"
    tab.get_by_role("button", name="Pause").click()
    assert status.inner_text() != said
    tab.get_by_role("button", name="Play").click()
    tab.get_by_role("button", name="Play").wait_for()
    assert place(tab) == "Saccade 6 of 6", "it plays to the end and stops there"
    tab.get_by_role("button", name="Play").click()
    wait_for(tab, "[1-5]")


@pytest.mark.slow
def test_keys_work_inside_and_nowhere_else(chromium: Browser, address: str) -> None:
    tab = chromium.open(address)
    press = tab.keyboard.press
    press("ArrowRight")
    assert place(tab) == "Saccade 0 of 6"
    tab.locator(".stage").nth(0).click()
    for key, saccade in (("ArrowRight", 1), ("End", 6), ("ArrowLeft", 5), ("Home", 0)):
        press(key)
        assert place(tab) == f"Saccade {saccade} of 6"
    for key, speed in (("+", "2"), ("+", "4"), ("+", "4"), ("-", "2")):
        press(key)
        assert tab.get_by_role("combobox").input_value() == speed
    press("Space")
    wait_for(tab, "[1-5]")
    press("Space")
    assert tab.get_by_role("button", name="Play").count() == 1
    before = place(tab)
    tab.get_by_role("radio", name="Grey").focus()
    press("ArrowRight")
    assert place(tab) == before, "arrows choose among radio buttons"
    assert tab.get_by_role("radio", name="Whole picture").is_checked()
    tab.get_by_role("slider").focus()
    press("ArrowRight")
    assert place(tab) == f"Saccade {int(before.split()[1]) + 1} of 6"
    assert "Space plays" in tab.locator(".keys").inner_text()


@pytest.mark.slow
def test_hidden_tokens_and_the_map(
    chromium: Browser, address: str, document: dict[str, Any], runs: list[Run]
) -> None:
    tab = chromium.open(address)
    tab.get_by_role("button", name="Step forward").click()
    true = runs[0].states[0].images[0, :, 3, 3].tolist()
    looks = {}
    for look in ("Dimmed", "Grey", "Whole picture"):
        tab.get_by_role("radio", name=look).check(force=True)
        assert level(tab, 0, 0)[:3] == pytest.approx(true, abs=40), "revealed as it is"
        looks[look] = level(tab, 9, 9)[:3]
    assert looks["Grey"] == [0x7C, 0x74, 0x68]
    assert sum(looks["Dimmed"]) < 0.6 * sum(looks["Whole picture"])
    check = tab.get_by_role("checkbox", name="Saliency map")
    check.check()
    assert level(tab, 9, 9)[:3] != looks["Whole picture"]
    assert level(tab, 9, 9, card=1)[:3] == looks["Whole picture"], "this policy follows no map"
    mapless = copy.deepcopy(document)
    mapless["policies"][0]["saliency"] = None
    tab.evaluate("given => { document.querySelector('saccade-player').scanpaths = given }", mapless)
    disabled = tab.get_by_role("checkbox", disabled=True)
    disabled.wait_for()
    assert "no policy here follows a map" in tab.locator(".check").inner_text()


@pytest.mark.slow
def test_it_says_what_the_data_says(chromium: Browser, address: str, document: Any) -> None:
    tab = chromium.open(address)
    tab.get_by_role("button", name="Last").click()
    for number, policy in enumerate(document["policies"]):
        card, last = tab.locator("article").nth(number), policy["saccades"][-1]
        assert card.locator(".classes .name").all_inner_texts() == [n for n, _ in last["top5"]]
        shares = [f"{100 * share:.1f}\u00a0%" for _, share in last["top5"]]
        assert card.locator(".share").all_inner_texts() == shares
        assert card.locator(".badge").inner_text() == ("✓ right" if last["right"] else "✗ wrong")
        assert card.locator("h4 strong").inner_text() == f"{last['certainty']:.2f}"
        assert card.locator(".curve").get_attribute("points").count(",") == len(policy["saccades"])
        assert card.locator(".full").count() == 1
    assert not tab.locator("saccade-player b b, saccade-player img").count()
    for role in ("button", "slider", "combobox", "checkbox", "radio", "img", "article", "group"):
        for one in tab.get_by_role(role).all():
            named = "one => one.ariaLabel || one.labels?.[0]?.textContent || one.textContent"
            assert one.evaluate(named).strip(), role
    assert {urls.partition(":")[0] for urls in chromium.asked} <= {"file", "about"}


@pytest.mark.slow
def test_the_fovea_is_that_of_the_environment(bare: Any) -> None:
    for grid, fovea in (((14, 14), 3), ((5, 9), 5), ((1, 4), 7), ((28, 28), 1)):
        expected, asked = [], []
        for token, window in enumerate(geometry.fovea_windows(grid, fovea, torch.device("cpu"))):
            rows, cols = (found.tolist() for found in window.nonzero(as_tuple=True))
            expected.append([min(rows), min(cols), max(rows) + 1, max(cols) + 1])
            asked.append([[token // grid[1], token % grid[1]], fovea, list(grid)])
        window_of = (
            "all => all.map(one => customElements.get('saccade-player').foveaWindow(...one))"
        )
        assert bare.evaluate(window_of, asked) == expected


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone(chromium: Browser, address: str, scheme: str) -> None:
    tab = chromium.open(address, 360, 740, scheme, has_touch=True, reduced_motion="reduce")
    tab.get_by_role("button", name="Step forward").tap()
    assert not scrolls_sideways(tab)
    small = """all => all.map((one) => (one.closest("label") ?? one).getBoundingClientRect())
        .filter(({ width, height }) => width < 40 || height < 40).length"""
    assert tab.locator("button, select, input").evaluate_all(small) == 0
    ground = tab.locator(".player").evaluate("one => getComputedStyle(one).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
    lasting = "one => parseFloat(getComputedStyle(one).transitionDuration)"
    assert tab.get_by_role("button", name="Play").evaluate(lasting) == 0
    tab.evaluate("""() => {
        const player = document.querySelector("saccade-player");
        player.setAttribute("autoplay", "");
        player.scanpaths = player.scanpaths;
    }""")
    tab.locator(".place", has_text="Saccade 0 of 6").wait_for()
    tab.wait_for_timeout(300)
    assert not tab.evaluate("document.querySelector('saccade-player').playing")


@pytest.mark.slow
def test_without_scripts_there_is_a_table(chromium: Browser, address: str) -> None:
    tab = chromium.open(address, java_script_enabled=False)
    assert "needs JavaScript" in tab.locator("noscript").inner_text()
    tab.locator("summary").click()
    assert tab.locator("tbody tr").count() == 7 + 3


@pytest.mark.slow
def test_in_a_foreign_page(bare: Any, document: dict[str, Any]) -> None:
    """It upgrades when markup is set into a page, follows the page's theme, and complains."""
    put(bare, player.element([document, document | {"label": None, "picture": None}], at="last"))
    assert place(bare) == "Saccade 6 of 6"
    dark = "document.querySelector('saccade-player').shadowRoot.querySelector('.player').className"
    assert bare.evaluate(dark) == "player"
    bare.evaluate("document.body.classList.add('dark')")
    bare.wait_for_function(f"{dark} === 'player dark'")
    bare.evaluate("document.querySelector('saccade-player').setAttribute('theme', 'light')")
    assert bare.evaluate(dark) == "player"
    bare.get_by_role("radio", name="A title").check(force=True)
    bare.wait_for_function(
        "!document.querySelector('saccade-player').shadowRoot.querySelector('.badge + .label')"
    )
    put(bare, player.element(document, autoplay=True))
    bare.get_by_role("button", name="Pause").wait_for()
    for wrong, why in (
        ("{", "this is no JSON"),
        ("3", "this is no scanpath file"),
        ('{"format": "b"}', "the format is not saccade-env/scanpaths"),
        (json.dumps(document | {"version": 2}), "version 1 is expected, not 2"),
        (json.dumps(document | {"policies": [{"name": "a"}]}), "the policy a has no saccades"),
    ):
        bare.evaluate(
            "text => document.querySelector('saccade-player').setAttribute('data-scanpaths', text)",
            wrong,
        )
        bare.get_by_role("alert").get_by_text(f"These scanpaths cannot be shown: {why}.").wait_for()
    put(bare, "<saccade-player></saccade-player>")
    bare.get_by_text("cannot be shown: none are given").wait_for()
    reply = {"json": document, "headers": {"access-control-allow-origin": "*"}}
    bare.route("http://localhost/a.json", lambda route: route.fulfill(**reply))
    put(bare, "<saccade-player src='http://localhost/a.json'></saccade-player>")
    bare.get_by_role("heading", name="A title").wait_for()
