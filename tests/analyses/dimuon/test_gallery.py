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


def test_many_curves_have_five_colours_and_differ():
    from fastjag.analyses.dimuon.pictures.curves import significances

    names = ["classifier", "random", *(f"feature{i}" for i in range(11))]
    curve = {"rates": [1.0, 0.1], "Z": [0.0, 2.0]}
    figure = significances({"OS": {"curves": dict.fromkeys(names, curve)}})
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    looks = [(lines[n].get_color(), lines[n].get_linestyle(), lines[n].get_marker())
             for n in ("classifier", "random number", *names[2:])]  # fmt: skip
    assert len({colour for colour, *_ in looks}) <= 5
    assert len(set(looks)) == len(names)


def test_nothing_in_the_legend_of_a_report_covers_the_axes():
    """Ends of curves lie inside of the panel, and the legend beside it."""
    from fastjag.analyses.dimuon.pictures.curves import significances

    figure = significances(
        {"OS": {"curves": {"classifier": {"rates": [1.0, 0.001], "Z": [9.0, 9.0]}}}}
    )
    figure.draw_without_rendering()
    (ax,), (legend,) = figure.axes, figure.legends
    assert legend.get_window_extent().x0 > ax.get_window_extent().x1
    low, high = ax.get_ylim()
    assert low < ax.lines[0].get_ydata().min() < high
