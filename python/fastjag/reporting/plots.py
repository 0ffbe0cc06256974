"""Pictures in the style of the field (mplhep), as matplotlib figures without pyplot's state."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastjag.reporting.labels import draw_label
from fastjag.reporting.output import new_file

#: Colours of the field's palette (arXiv:2107.02270), by name and in the order of lines in a picture.
BLUE, ORANGE, RED, GREY, VIOLET = "#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6"
BROWN, DARK_ORANGE, OLIVE, DARK_GREY, CYAN = "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd"
#: At most five of them in a picture: :func:`line_style` goes on with other lines.
PALETTE = (BLUE, ORANGE, RED, GREY, VIOLET, BROWN, DARK_ORANGE, OLIVE, DARK_GREY, CYAN)

_COLOURS, _LINES = 5, ("-", "--", ":", "-.")

# The style's own mathtext asks for a "cursive" font that few machines have, and for what its font lacks takes one
# whose roots matplotlib complains about.
_FONTS = {
    "font.size": 18,
    "legend.fontsize": 15,
    "mathtext.cal": "sans",
    "mathtext.fallback": "stixsans",
}
_ONCE = {"savefig.bbox": "standard"}  # the layout has room for all; "tight" would draw twice


@contextmanager
def _style() -> Iterator[None]:
    import matplotlib.style
    import mplhep

    with matplotlib.style.context([mplhep.style.CMS, _FONTS, _ONCE]):
        yield


@contextmanager
def figure(
    width: float = 10.0, height: float = 7.0, rows: int = 1, columns: int = 1, **shared: Any
) -> Iterator[tuple[Any, Any]]:
    """(figure, axes) in mplhep's CMS style; an array of axes where there are several.

    ``shared`` goes to ``Figure.subplots``, such as ``sharey=True``.
    """
    from matplotlib.figure import Figure

    with _style():
        fig = Figure(figsize=(width, height), layout="constrained")
        yield fig, fig.subplots(rows, columns, **shared)


@contextmanager
def panels(
    n: int, columns: int, size: tuple[float, float] = (4.5, 3.8), font: float = 12, **shared: Any
) -> Iterator[tuple[Any, list[Any]]]:
    """(figure, n axes) in rows of ``columns``, each of ``size``, in a smaller font.

    ``shared`` goes to ``Figure.subplots``, such as ``sharey=True``.
    """
    import matplotlib
    from matplotlib.figure import Figure

    columns = min(n, columns)
    rows = -(-n // columns)
    changes: Any = dict.fromkeys(
        ("font.size", "axes.labelsize", "xtick.labelsize", "ytick.labelsize"), font
    ) | {"legend.fontsize": 0.85 * font}
    if n > 4:  # minor ticks are most of what there is to draw then
        changes |= {"xtick.minor.visible": False, "ytick.minor.visible": False}
    with _style(), matplotlib.rc_context(changes):
        fig = Figure(figsize=(columns * size[0], rows * size[1]), layout="constrained")
        axes = fig.subplots(rows, columns, squeeze=False, **shared).ravel().tolist()
        for spare in axes[n:]:
            spare.remove()
        yield fig, axes[:n]


@contextmanager
def ratio_figure(
    width: float = 10.0, height: float = 9.0, share: float = 0.28, **shared: Any
) -> Iterator[tuple[Any, tuple[Any, Any]]]:
    """(figure, (axes, axes below)) that share x: a picture, and a ratio or pulls in a part below."""
    heights = (1 - share, share)
    with figure(width, height, rows=2, sharex=True, height_ratios=heights, **shared) as (fig, axes):
        top, below = axes
        fig.align_ylabels([top, below])
        yield fig, (top, below)


def legend_beside(fig: Any, *axes: Any, title: str = "", size: float = 13) -> None:
    """One legend for several axes, each name once, right of the picture: it covers nothing."""
    fig.legend(*_named_handles(axes), loc="outside right upper", fontsize=size,
               title=title or None, title_fontsize=size, alignment="left")  # fmt: skip


def legend_below(fig: Any, *axes: Any, columns: int = 4, size: float = 14) -> None:
    """As :func:`legend_beside`, in lines below the picture."""
    fig.legend(*_named_handles(axes), loc="outside lower center", fontsize=size, ncols=columns)


def _named_handles(axes: Iterable[Any]) -> tuple[list[Any], list[str]]:
    named: dict[str, Any] = {}
    for ax in axes:
        for handle, name in zip(*ax.get_legend_handles_labels(), strict=True):
            named.setdefault(name, handle)
    return list(named.values()), list(named)


def line_style(i: int) -> dict[str, Any]:
    """Colour and line of curve i: five colours, then the same ones dashed, dotted, dash-dotted."""
    again, place = divmod(i, _COLOURS)
    return {"color": PALETTE[place], "ls": _LINES[again % len(_LINES)]}


def save(fig: Any, *paths: Path) -> None:
    """Write a figure, each path in the format of its ending, with the label that there is.

    :func:`fastjag.reporting.labels.labelled` says which.
    """
    with _style():  # fonts are looked up when drawing
        draw_label(fig)
        for path in paths:
            # Of a file that it opens itself matplotlib forgets to close what a full disk refused.
            with new_file(path) as partial, open(partial, "wb") as file:
                fig.savefig(file, dpi=130, format=path.suffix.removeprefix("."))
            fig.set_layout_engine("none")  # found by the first one: finding it again costs a second
