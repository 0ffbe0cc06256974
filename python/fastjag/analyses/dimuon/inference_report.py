"""The section of the report about signals: intervals, limits, background, impacts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fastjag.reporting.report import Report, fixed


def inference_section(
    page: Report, numbers: Mapping[str, Any], classes: list[str], pictures: Callable[..., None]
) -> None:
    """Of all charge classes; ``pictures`` shows those of these names."""
    page.text(
        "S is the number of signal pairs in the signal region, with its profile-likelihood intervals; limits "
        "are upper ones at 95 % by CLs. "
        "Profiled: the choice of background is a nuisance parameter (Dauncey et al., 2015)."
    )
    rows, cross, toys = [], [], []
    for c in classes:
        for selection, s in numbers[c]["inference"]["signals"].items():
            p = s["profiled"]
            rows.append((
                c, selection, f"{fixed(s['S'], 1)} ± {fixed(s['error'], 1)}", _range(s["interval68"]),
                _range(s["interval95"]), fixed(s["observed"], 1), _expected(s),
                f"{fixed(p['S'], 1)} ± {fixed(p['error'], 1)}", fixed(p["observed"], 1),
                fixed(s["Z"], 2), fixed(p["Z"], 2),
            ))  # fmt: skip
            if x := s["cross_section"]:
                cross.append((c, selection, f"{x['S']:.3g}", _range(x["interval68"], 3),
                              f"{x['observed']:.3g}", f"{x['expected'][2]:.3g}"))  # fmt: skip
            if t := s["toys"]:
                toys.append(
                    (c, selection, _range(t["interval68"]), _range(t["interval95"]), t["toys"])
                )
    page.table(("pairs", "selection", "S", "68 %", "95 %", "limit", "expected (68 %)", "S profiled",
                "its limit", "Z", "Z profiled"), rows)  # fmt: skip
    if toys:
        page.text(
            "Few pairs: intervals of Feldman and Cousins, by toys. S is not negative in them."
        )
        page.table(("pairs", "selection", "68 %", "95 %", "toys"), toys)
    if cross:
        page.text("Cross-sections [pb], by luminosity and efficiency of the settings.")
        page.table(("pairs", "selection", "cross-section", "68 %", "limit", "expected"), cross)
    for c in classes:
        test = numbers[c]["inference"]["background"]
        page.text(f"{c}: {test['says'].removeprefix('! ')}")
        chosen = set(test["chosen"])
        page.table(
            ("background", "chi2 / dof", "p of the fit", "p of a higher order", "order of the F test"),
            [(f["family"], f"{f['chi2']:.1f} / {f['dof']}", _p(f["p_fit"]), _p(f["p_order"]),
              "chosen" if f["family"] in chosen else "") for f in test["fits"]],
        )  # fmt: skip
    pictures("background_bias")
    train_on = numbers["train_on"]
    best = numbers[train_on]["inference"]["signals"]["best cut"]["impacts"]
    if not best["nuisances"]:
        page.text(
            "No uncertainties of the signal were given (significance.signal_errors), so that there are no impacts: "
            f"the error of S, {fixed(best['error'], 1)}, is that of counts and background."
        )
    else:
        page.text(
            f"{train_on}, best cut: of the error of S, {fixed(best['error'], 1)}, {fixed(best['statistical'], 1)} "
            "is that of counts and background."
        )
        page.table(
            ("uncertainty", "pull", "its error", "impact up", "impact down"),
            [(n["name"], fixed(n["pull"], 2), fixed(n["error"], 2), fixed(n["up"], 2), fixed(n["down"], 2))
             for n in best["nuisances"]],
        )  # fmt: skip
    pictures("impacts")
    page.text(
        "The likelihoods are in the folder likelihoods, for pyhf, HS3 and combine; tables of all curves for "
        "HEPData in the folder hepdata."
    )


def everything_tried(record: Mapping[str, Any]) -> str:
    """The answer in a sentence, for the report."""
    windows = len(record["windows"])
    where = "features, cuts and reweighting" + f" and {windows} windows" * (windows > 1)
    return (
        f"Over all that was tried ({where}), the largest local significance is {record['Z']:.1f} sigma. Of "
        f"{record['experiments']} searches of data without a signal, trained anew, {record['above']} have as much: global p is "
        f"{record['p_global']:.2g} ({record['p_low']:.2g} to {record['p_high']:.2g}), {record['Z_global']:.1f} sigma."
        + (" More searches would say more: p cannot be smaller." if record["above"] == 0 else "")
    )


def _range(ends: Any, digits: int | None = None) -> str:
    low, high = ends
    if digits is not None:
        return f"{low:.{digits}g} to {high:.{digits}g}"
    return f"{fixed(low, 1)} to {fixed(high, 1)}"


def _expected(signal: Mapping[str, Any]) -> str:
    bands = signal["expected"]
    return f"{fixed(bands[2], 1)} ({fixed(bands[1], 1)} to {fixed(bands[3], 1)})"


def _p(p: float | None) -> str:
    return "" if p is None else f"{p:.2g}"
