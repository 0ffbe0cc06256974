"""The gallery of the documentation shows every picture of a search."""

from pathlib import Path

import pytest

from fastjag.analyses.dimuon.gallery import CAPTIONS

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize("name", CAPTIONS)
def test_every_picture_is_in_the_gallery(name):
    page = " ".join((DOCS / "gallery.md").read_text().split())
    assert f"`{name}.png`. {CAPTIONS[name]}" in page
    if name != "null":  # which the toys' configuration does not ask for
        assert f"](gallery/dimuon_{name}.png)" in page
        assert (DOCS / "gallery" / f"dimuon_{name}.png").stat().st_size > 10_000
