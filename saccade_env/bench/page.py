"""How soon the page shows something; for a process of its own, so that none but it has Gradio."""

from __future__ import annotations

import time
import uuid
from typing import Any

from saccade_env.drawing.scanpaths import FORMAT

_POLICY, _CLASSIFIER = "focus-saliency", "efficientnet_lite0"


def measure() -> None:
    """Print the seconds from pressing Watch to the first scanpath, for two pictures in a row.

    Through HTTP as a browser does it, in a page that has just been opened, with no map kept from
    before. Prints nothing where Gradio or the Focus ViT is missing.
    """
    from saccade_env import images, policies

    if policies.REGISTRY.missing(_POLICY):
        return
    try:
        import httpx

        from saccade_env.app.serve import serve
    except ImportError:
        return
    from saccade_env.app.settings import Settings
    from saccade_env.app.studio import SAMPLE, Studio
    from saccade_env.config import SaccadeConfig

    builds = {_POLICY: lambda grid: policies.create(_POLICY, grid=grid, cache=False)}
    studio = Studio(images.create("sample"), {_CLASSIFIER: _CLASSIFIER}, builds, SaccadeConfig())
    studio.warm_up(_POLICY)
    page, address = serve(studio, Settings(port=0), block=False)
    try:
        with httpx.Client(base_url=f"{address}gradio_api/queue/", timeout=60) as client:
            visitor = Visitor(client, {one.name: place for place, one in page.fns.items()})
            for place in (0, 1):
                picked = {"where": SAMPLE, "place": place}
                print(visitor.ask("watch", [picked, None, _CLASSIFIER, [_POLICY], 3, 10]))
    finally:
        page.close(verbose=False)


class Visitor:
    """Somebody who presses buttons: what a browser asks, without a browser."""

    def __init__(self, client: Any, functions: dict[str, int]) -> None:
        self._client, self._functions, self._session = client, functions, uuid.uuid4().hex

    def ask(self, function: str, values: list[Any]) -> float:
        """Seconds until what was asked for shows."""
        begun = time.perf_counter()
        asked = {
            "data": values,
            "fn_index": self._functions[function],
            "session_hash": self._session,
        }
        self._client.post("join", json=asked).raise_for_status()
        with self._client.stream("GET", "data", params={"session_hash": self._session}) as told:
            for line in told.iter_lines():
                if FORMAT in line:
                    return time.perf_counter() - begun
                if "process_completed" in line:
                    raise RuntimeError(f"the page shows nothing: {line[:300]}")
        raise RuntimeError("the page ended the connection")


if __name__ == "__main__":
    measure()
