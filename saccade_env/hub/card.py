"""Cards, the ``README.md`` of a repository: metadata for programs, text for people.

The metadata of an agent have its results as a ``model-index``, in the form that Hugging Face
gives it; shares are from 0 to 1 there, as in ``summary.json``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

TAG, TASK = "saccade-env", "active-vision"
AREA = "augc"  # the metric by which agents are listed
_ABOUT = "https://arxiv.org/abs/2603.09613"


def agent_card(name: str, licence: str | None, results: Sequence[Any], body: str) -> str:
    """The card of an agent; ``results`` are EvalResults of the Hub's client."""
    from huggingface_hub import ModelCardData

    data = ModelCardData(
        library_name=TAG,
        license=licence,
        tags=[TAG, TASK, "reinforcement-learning"],
        model_name=name,
        eval_results=list(results) or None,
    )
    return _joined(data, body)


def data_card(name: str, licence: str | None, tables: dict[str, str], body: str) -> str:
    """The card of records or a report; ``tables`` are parquet files, by a name for each."""
    from huggingface_hub import DatasetCardData

    configs = [{"config_name": key, "data_files": path} for key, path in tables.items()]
    data = DatasetCardData(
        license=licence, pretty_name=name, tags=[TAG, TASK], configs=configs or None
    )
    return _joined(data, body)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown; cells hold no markup."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(str(text).split()).replace("|", "\\|")


def _joined(data: Any, body: str) -> str:
    made_with = f"Made with saccade-env, active vision as of [arXiv:2603.09613]({_ABOUT})."
    return f"---\n{data.to_yaml()}\n---\n\n{body.strip()}\n\n{made_with}\n"
