"""Agents that others, or you, have put on the Hub."""

from __future__ import annotations

from typing import Any, NamedTuple

from saccade_env.hub.card import AREA, TAG
from saccade_env.hub.connection import connect, in_words, refuse_offline

_MOST = 500


class Remote(NamedTuple):
    """An agent on the Hub: what its card says, which nobody has checked."""

    repo: str
    private: bool
    changed: str
    results: list[str]


def agents() -> list[Remote]:
    """The 500 agents with our tag that were changed last, by name; private ones among them too.

    These are shown to whom the token allows it.

    Raises:
        ConnectionError: The Hub cannot be reached, or must not be.
        OSError: It refuses.
    """
    api = connect()
    with in_words(api, "the list of agents"):
        refuse_offline()
        found = list(
            api.list_models(filter=TAG, full=True, cardData=True, limit=_MOST, sort="last_modified")
        )
    return sorted(
        Remote(str(one.id), bool(one.private), _day(one.last_modified), _results(one.card_data))
        for one in found
    )


def _day(changed: Any) -> str:
    return f"{changed:%Y-%m-%d}" if changed else ""


def _results(card: Any) -> list[str]:
    """The area under the accuracy curve, in per cent, and on what; other cards say other things."""
    found = getattr(card, "eval_results", None) or []
    return [
        f"{100 * result.metric_value:.1f} on {result.dataset_name}"
        for result in found
        if result.metric_type == AREA and isinstance(result.metric_value, (int, float))
    ]
