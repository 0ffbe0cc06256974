"""What a search's checks of itself say, and which of its results stand behind a failed one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastjag.statistics import Window, bad_fits, fit_probability, fit_warning
from fastjag.statistics.goodness import BAD_FIT

CLOSURE, BACKGROUND, FIT = "closure", "background", "fit"
_CHECKS = {
    CLOSURE: "the closure failed", BACKGROUND: "the background fit is bad",
    FIT: "the fit to its sidebands is bad",
}  # fmt: skip
_SIGNS = {"OS": "Opposite-sign", "SS": "Same-sign"}
_EVIDENCE = 3.0  # sigma from which on an excess is one
#: Pictures that show what flows and classifiers made.
OF_THE_FLOWS = (
    "significance", "masses", "after_cuts", "variations", "null", "sidebands", "corner", "samples",
    "classifier", "importance",
)  # fmt: skip


def verdicts(
    closure: Mapping[str, Any], background: Mapping[str, Any], control: str | None, other: str
) -> dict[str, dict[str, Any]]:
    """Every check with "passes" (None: it could not be made) and, in a sentence, what it "says".

    ``closure`` and ``background`` are the contents of those files; ``control`` is why the charge
    class ``other`` is left out, if it is.
    """
    checks = {CLOSURE: _closure(closure)}
    chi2, dof = background["chi2"], background["dof"]
    warning = bad_fits({"background": (chi2, dof)})
    checks[BACKGROUND] = {
        "passes": not warning,
        "says": warning + " Number and masses of the flows' samples follow from it." if warning else
        f"The background fit describes the sidebands: chi2 / dof = {chi2:.1f} / {dof}.",
    }  # fmt: skip
    if control is not None:
        checks["control"] = {
            "passes": None, "says": f"! There is no control: {other} pairs are left out, as {control}."
        }  # fmt: skip
    return checks


def bias_check(background: Mapping[str, Any]) -> dict[str, Any]:
    """The check of the table's background model, from its test against other families."""
    return {"passes": not background["biased"], "says": background["says"]}


def _closure(parts: Mapping[str, Any]) -> dict[str, Any]:
    if not parts:
        return {"passes": None, "says": "! CLOSURE NOT TESTED: fewer than 20 pairs in either sideband. "
                "Nothing says whether the flows' samples describe the data."}  # fmt: skip
    failed = [name for name, part in parts.items() if not part["passes"]]
    said = "; ".join(f"{name}: AUC {parts[name]['verdict'].partition(': ')[2]}" for name in failed)
    if failed:
        return {"passes": False, "says":
                f"! CLOSURE FAILED: a classifier tells the flows' samples from the data of the "
                f"sidebands, where there is no signal ({said}). What flows and classifier give is "
                "marked with !, and cannot be trusted: an excess may be a difference between samples "
                "and data. Flows that learn more (preset \"spline\", more epochs) or other features may "
                "pass."}  # fmt: skip
    first = next(iter(parts))
    return {"passes": True, "says": f"Closure passes: in {first} {parts[first]['verdict']}."}


def failed_checks(
    checks: Mapping[str, Mapping[str, Any]], *, of_flows: bool, chi2: Any = None
) -> list[str]:
    """Names of the failed checks that a result stands behind.

    ``of_flows`` where it comes from flows or classifiers; ``chi2`` and degrees of freedom are those
    of its own fit. A closure that could not be tested counts as failed.
    """
    names = [n for n in (CLOSURE, BACKGROUND) if of_flows and not checks[n]["passes"]]
    return names + ([FIT] if chi2 is not None and fit_warning(*chi2) else [])


def mark(row: Mapping[str, Any]) -> str:
    """What stands beside the numbers of a row of the table: "" if all checks pass."""
    said = []
    for name in row["failed_checks"]:
        if name == FIT:
            said.append(fit_warning(row["fit_chi2"], row["fit_dof"]))
        else:
            said.append("! closure failed" if name == CLOSURE else "! bad background fit")
    return ", ".join(said)


def fit_numbers(chi2: tuple[float, int] | None) -> dict[str, Any]:
    """Of a sideband fit, for the table; None where there are too few events to judge it."""
    if chi2 is None or chi2[1] < 1:
        return dict.fromkeys(("fit_chi2", "fit_dof", "fit_p"))
    return {"fit_chi2": chi2[0], "fit_dof": chi2[1], "fit_p": fit_probability(*chi2)}


def verdict(
    checks: Mapping[str, Mapping[str, Any]], table: Sequence[Mapping[str, Any]], window: Window
) -> str:
    """In one sentence what was found, and how sure that is: the first one of a report.

    It is about the best cut on the classifier, or the largest excess where no cut has enough events.
    """
    own = [row for row in table if not row["alternate"]]
    best = max(own, key=lambda r: (r["discriminant"] == "classifier" and r["selection"] == "best cut",
                                   r["Z"]))  # fmt: skip
    overall = best["Z_global"]
    sure = best["Z"] if overall is None else overall
    size = f"{best['Z']:.1f} sigma locally"
    if best.get("Z_profiled") is not None:
        size += f" ({best['Z_profiled']:.1f} with the choice of background profiled)"
    size += " (no toys: no global one)" if overall is None else (
        f" and {overall:.1f} sigma globally, for the choice of the cut"
    )  # fmt: skip
    where = f"{_SIGNS[best['pairs']]} pairs between {window.sr_left:g} and {window.sr_right:g} GeV"
    numbers = f"{best['S'] + best['B']:.4g} pairs where {best['B']:.3g} are expected"
    if best["rate"] is None:  # weights instead of a cut
        numbers = best["selection"]
    elif best["cut"] is not None:
        name = best["discriminant"]
        numbers += f" behind the cut on {'the ' * (name == 'classifier')}{name} that keeps "
        numbers += f"{100 * best['rate']:.2g} % of the sidebands"
    found = (
        f"{where} show an excess of {size}: {numbers}" if sure >= _EVIDENCE else
        f"{where} show no significant excess: the largest has {size}, {numbers}"
    )  # fmt: skip
    if wrong := best["failed_checks"]:
        words = dict(_CHECKS)
        if checks[CLOSURE]["passes"] is None:
            words[CLOSURE] = "the closure could not be tested"
        return f"! {found}; this cannot be trusted: {' and '.join(words[n] for n in wrong)}."
    return f"{found}; {_of_control(checks, table)}."


def _of_control(checks: Mapping[str, Mapping[str, Any]], table: Sequence[Mapping[str, Any]]) -> str:
    control = [row for row in table if row["alternate"]]
    passed = "all checks pass" if all(c["passes"] for c in checks.values()) else "no check failed"
    if not control:
        return f"{passed}, and there is no control"
    largest = max(control, key=lambda row: row["Z"])
    return (
        f"{passed}, and {_SIGNS[largest['pairs']].lower()} pairs, the control, have at most "
        f"{largest['Z']:.1f} sigma locally"
    )


def summary(
    checks: Mapping[str, Mapping[str, Any]], table: Sequence[Mapping[str, Any]]
) -> list[str]:
    """The first sentences of a report, failures first."""
    said = [check["says"] for check in checks.values()]
    poor = [
        f"{row['pairs']} {row['discriminant']}, {row['selection']}"
        for row in table
        if FIT in row["failed_checks"]
    ]
    if poor:
        said.append(
            f"! Bad fits to the sidebands, whose chi2 has a probability below {BAD_FIT:g}: "
            f"{'; '.join(poor)}. Their excesses cannot be trusted."
        )
    return sorted(said, key=lambda text: not text.startswith("!"))


def picture_title(name: str, checks: Mapping[str, Mapping[str, Any]]) -> str:
    """What to write above a picture; "" if nothing in it stands behind a failed check."""
    wrong = failed_checks(checks, of_flows=name in OF_THE_FLOWS)
    if name == "background" and not checks[BACKGROUND]["passes"]:
        wrong = [BACKGROUND]
    words = {CLOSURE: "CLOSURE FAILED: samples differ from data", BACKGROUND: "BAD BACKGROUND FIT"}
    if checks[CLOSURE]["passes"] is None:
        words[CLOSURE] = "CLOSURE NOT TESTED"
    return "; ".join(words[name] for name in wrong)
