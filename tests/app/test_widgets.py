"""What is put into the page as markup: nobody's name of anything becomes code."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("gradio", reason='needs gradio: pip install "saccade-env[app]"')

import torch

from saccade_env.app import widgets

NASTY = """<img src=x onerror="1">${document.title=1}{{this}}' & "q"\u2028"""


def test_names_stay_text_in_templates(sample: Any) -> None:
    class Named:
        name = NASTY

        def __len__(self) -> int:
            return 3

    template = widgets.picker(sample, Named(), elem_id="x").html_template
    assert "<img src=x" not in template
    assert not {"${", "{{"} & {template[i : i + 2] for i in range(len(template))}


def test_tables_and_maps_escape() -> None:
    pixels = torch.zeros(3, 32, 32, dtype=torch.uint8)
    for markup in (
        widgets.table(NASTY, [NASTY], [[NASTY, NASTY]]),
        widgets.heat(pixels, torch.rand(2, 2), NASTY),
        widgets.gallery([], NASTY),
        widgets.status(NASTY),
    ):
        assert "<img src=x" not in markup
        assert 'onerror="' not in markup


@pytest.mark.parametrize("values", [torch.zeros(2, 2), torch.full((2, 2), torch.nan)])
def test_maps_of_one_value_are_drawn(values: torch.Tensor) -> None:
    pixels = torch.zeros(3, 32, 32, dtype=torch.uint8)
    assert "data:image/png" in widgets.heat(pixels, values, "flat")
