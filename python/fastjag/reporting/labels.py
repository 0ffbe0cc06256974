"""What stands above every picture, if anybody wants it: experiment, energy and luminosity."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, replace
from typing import Any

from fastjag.core.settings import Name, setting, settings
from fastjag.reporting.titles import plain


@settings
class Label:
    """The label of pictures; by default there is none."""

    experiment: Name | None = setting(
        "Experiment and status above pictures, such as `CMS Open Data`; its first word is bold.",
        default=None,
    )
    energy: float | None = setting(
        "Energy of the collisions [TeV] above pictures.", default=None, above=0
    )
    lumi: float | None = setting(
        "Integrated luminosity [1/fb] above pictures.", default=None, above=0
    )


_NONE = Label()
_label: ContextVar[Label] = ContextVar("label", default=_NONE)


@contextmanager
def labelled(label: Label) -> Iterator[None]:
    """Pictures that are saved in the block bear a label, as far as no block around it has another."""
    token = _label.set(shown_label(label))
    try:
        yield
    finally:
        _label.reset(token)


def shown_label(label: Label) -> Label:
    """What pictures of a configuration with this label bear here: options of a command come first."""
    outer = {k: v for k, v in asdict(_label.get()).items() if v is not None}
    return replace(label, **outer)


def draw_label(fig: Any) -> None:
    """The label above a figure: experiment over the first axes of its top row, the rest over the last."""
    label = _label.get()
    if label == _NONE:
        return
    from mplhep.label import ExpLabel, exp_label

    if any(isinstance(text, ExpLabel) for ax in fig.axes for text in ax.texts):
        return  # of an earlier file
    fig.draw_without_rendering()  # places of axes, and the text on them
    left, right = _top_row(fig)
    experiment, _, status = plain(label.experiment or "").partition(" ")
    size = 1.05 * left.yaxis.label.get_size()
    style: dict[str, Any] = {"loc": 0, "data": True, "scilocator_adjust": False,
                             "fontsize": (1.15 * size, size, size, size)}  # fmt: skip
    numbers = {"com": None if label.energy is None else f"{label.energy:g}",
               "lumi": None if label.lumi is None else f"{label.lumi:g}"}  # fmt: skip
    if left is right:
        _lift(left, exp_label(exp=experiment, text=status, ax=left, **numbers, **style))
    else:
        _lift(left, exp_label(exp=experiment, text=status, rlabel="", ax=left, **style))
        _lift(right, exp_label(llabel="", ax=right, **numbers, **style))


def _top_row(fig: Any) -> tuple[Any, Any]:
    """The first and the last of the axes that nothing is above."""
    axes = [ax for ax in fig.axes if ax.get_visible() and ax.get_label() != "<colorbar>"]
    top = max(ax.get_position().y1 for ax in axes)
    row = [ax for ax in axes if ax.get_position().y1 > top - 0.02]
    return min(row, key=lambda a: a.get_position().x0), max(row, key=lambda a: a.get_position().x1)


def _lift(ax: Any, texts: Any) -> None:
    """Above the title of the axes, or the power of ten at the top of their scale, if there is one."""
    from matplotlib.transforms import ScaledTranslation

    size = max(
        [t.get_size() for t in (ax.title, ax._left_title, ax._right_title) if t.get_text()]
        + [t.get_size() for t in [ax.yaxis.get_offset_text()] if t.get_text()],
        default=0.0,
    )
    shift = ScaledTranslation(0, (1.5 * size + 2) / 72, ax.figure.dpi_scale_trans)
    for text in texts:
        if text is not None:
            text.set_transform(text.get_transform() + shift)
