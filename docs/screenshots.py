"""Make the pictures of docs/app.md: the page's three tabs, in light and in dark.

python docs/screenshots.py   (needs the extras app and focus, playwright and Chromium)
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

FOLDER = Path(__file__).parent / "app"
COMMAND = ["app", "--port", "0", "--classifier", "efficientnet_lite0", "--no-record"]
PICTURE = "koala"
SIZE = {"width": 1180, "height": 900}


def main() -> None:
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    served = subprocess.Popen(
        [sys.executable, "-m", "saccade_env.cli", *COMMAND], stdout=subprocess.PIPE, text=True
    )
    try:
        assert served.stdout is not None
        address = next(
            re.findall(r"http://\S+", line)[0] for line in served.stdout if "http" in line
        )
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            for scheme in ("light", "dark"):
                context = browser.new_context(
                    viewport=SIZE, color_scheme=scheme, reduced_motion="reduce"
                )
                tab = context.new_page()
                tab.set_default_timeout(120_000)
                tab.goto(address)
                for name, show in (("watch", watch), ("play", play), ("explain", explain)):
                    show(tab)
                    tab.evaluate("scrollTo(0, 0)")
                    tab.wait_for_timeout(500)
                    path = FOLDER / f"{name}-{scheme}.jpg"
                    tab.screenshot(path=path, type="jpeg", quality=82)
                    print(f"wrote {path}")
    finally:
        served.terminate()


def watch(tab: Any) -> None:
    tab.locator("#watch-picker").get_by_role("radio", name=PICTURE).check()
    tab.locator("#watch-go").click()
    tab.get_by_text(re.compile(r": done\.$")).first.wait_for()
    tab.locator("#watch-player").get_by_role("slider").focus()
    tab.keyboard.press("End")


def play(tab: Any) -> None:
    tab.get_by_role("tab", name="Play").click()
    tab.locator("#play-go").click()
    frame = tab.locator("saccade-board .frame")
    frame.wait_for()
    for number, (across, down) in enumerate(((0.5, 0.5), (0.3, 0.35), (0.7, 0.45), (0.45, 0.75))):
        box = frame.bounding_box()
        tab.mouse.click(box["x"] + across * box["width"], box["y"] + down * box["height"])
        tab.locator("saccade-board .dot").nth(number).wait_for()
    tab.locator("#play-stop").click()
    tab.locator("#play-player saccade-player").wait_for()


def explain(tab: Any) -> None:
    tab.get_by_role("tab", name="Explain").click()
    tab.locator("#explain-picker").get_by_role("radio", name=PICTURE).check()
    for name, said in (
        ("attention", "attends"),
        ("maps", "maps: done"),
        ("drop", "Most certainty"),
    ):
        tab.locator(f"#explain-{name}").click()
        if name == "attention":
            tab.locator("#explain-attention-shown figure").first.wait_for()
        else:
            tab.locator("[role=status]:visible", has_text=said).wait_for()


if __name__ == "__main__":
    main()
