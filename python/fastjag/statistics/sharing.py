"""Likelihoods for other programs: pyhf, HS3 and combine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from fastjag.core.checks import needs
from fastjag.reporting.output import check_target, write_text
from fastjag.statistics.binned_model import BinnedModel
from fastjag.statistics.histfactory import RANGE, Exchange, exchange
from fastjag.statistics.windows import Floats


def to_pyhf(model: BinnedModel, counts: ArrayLike, *, name: str = "window") -> dict[str, Any]:
    """A workspace of pyhf (schema 1.0.0) for one spectrum: ``pyhf.Workspace(to_pyhf(...))``.

    The parameter of interest is ``S``. Terms of the background are samples with factors. Log-normal nuisances are
    ``normsys``, others ``histosys``; pyhf's own interpolations are those of the model, but
    for 1e-7 of a log-normal of 30 %. Bins are in the order of their masses.

    Raises ValueError for families that are no sums of terms, and what is no unweighted spectrum.
    """
    x = exchange(model, counts)
    modifiers: list[dict[str, Any]] = [{"name": "S", "type": "normfactor", "data": None}]
    for nuisance, up, down in x.nuisances:
        if nuisance.kappa is not None:
            data: dict[str, Any] = {"hi": nuisance.kappa, "lo": 1 / nuisance.kappa}
            modifiers.append({"name": nuisance.name, "type": "normsys", "data": data})
        else:
            data = {"hi_data": up.tolist(), "lo_data": down.tolist()}
            modifiers.append({"name": nuisance.name, "type": "histosys", "data": data})
    samples = [{"name": "signal", "data": x.signal.tolist(), "modifiers": modifiers}]
    for term in x.terms:
        factor = {"name": term.name, "type": "normfactor", "data": None}
        samples.append({"name": term.name, "data": term.template.tolist(), "modifiers": [factor]})
    parameters = [{"name": "S", "inits": [max(x.S, 0.0)], "bounds": [[0.0, x.largest]]}] + [
        {"name": t.name, "inits": [t.start], "bounds": [[t.least, RANGE]]} for t in x.terms
    ]
    return {
        "channels": [{"name": name, "samples": samples}],
        "observations": [{"name": name, "data": x.observed.tolist()}],
        "measurements": [{"name": "S", "config": {"poi": "S", "parameters": parameters}}],
        "version": "1.0.0",
    }


def to_hs3(model: BinnedModel, counts: ArrayLike, *, name: str = "window") -> dict[str, Any]:
    """The same as a document of HS3, the HEP Statistics Serialization Standard (hs3_version 0.2)."""
    x = exchange(model, counts)
    modifiers: list[dict[str, Any]] = [{"name": "S", "parameter": "S", "type": "normfactor"}]
    for nuisance, up, down in x.nuisances:
        own = {"name": nuisance.name, "parameter": f"alpha_{nuisance.name}", "constraint": "Gauss"}
        if nuisance.kappa is not None:
            data: dict[str, Any] = {"hi": nuisance.kappa, "lo": 1 / nuisance.kappa}
            modifiers.append({**own, "type": "normsys", "data": data})
        else:
            data = {"hi": {"contents": up.tolist()}, "lo": {"contents": down.tolist()}}
            modifiers.append({**own, "type": "histosys", "data": data})
    zeros = [0.0] * len(x.observed)
    samples = [
        {
            "name": "signal",
            "data": {"contents": x.signal.tolist(), "errors": zeros},
            "modifiers": modifiers,
        }
    ]
    for t in x.terms:
        factor = {"name": t.name, "parameter": t.name, "type": "normfactor"}
        samples.append({"name": t.name, "data": {"contents": t.template.tolist(), "errors": zeros},
                        "modifiers": [factor]})  # fmt: skip
    axes = [{"name": "mass", "edges": x.edges.tolist()}]
    alphas = [f"alpha_{nuisance.name}" for nuisance, _, _ in x.nuisances]
    values = {
        "S": max(x.S, 0.0),
        **dict.fromkeys(alphas, 0.0),
        **{t.name: t.start for t in x.terms},
    }
    ranges = {"S": (0.0, x.largest), **dict.fromkeys(alphas, (-5.0, 5.0)),
              **{t.name: (t.least, RANGE) for t in x.terms}}  # fmt: skip
    # ROOT asks for these names of the domain and the point.
    return {
        "metadata": {"hs3_version": "0.2"},
        "distributions": [{"name": name, "type": "histfactory_dist", "axes": axes, "samples": samples}],
        "data": [{"name": "observed", "type": "binned", "axes": axes, "contents": x.observed.tolist()}],
        "likelihoods": [{"name": "likelihood", "distributions": [name], "data": ["observed"]}],
        "domains": [{"name": "default_domain", "type": "product_domain", "axes": [
            {"name": p, "min": low, "max": high} for p, (low, high) in ranges.items()]}],
        "parameter_points": [{"name": "default_values", "parameters": [
            {"name": p, "value": value} for p, value in values.items()]}],
        "analyses": [{"name": "S", "likelihood": "likelihood", "domains": ["default_domain"],
                      "init": "default_values",
                      "parameters_of_interest": ["S"]}],
    }  # fmt: skip


def write_datacard(
    path: str | os.PathLike[str], model: BinnedModel, counts: ArrayLike, *, name: str = "window"
) -> Path:
    """A datacard of CMS' combine for one spectrum, and its histograms in a ROOT file beside it.

    ``path`` ends in .txt; the returned path of the histograms ends in .root. The signal strength r is S; terms of
    the background have ``rateParam``, log-normal nuisances are ``lnN``, others ``shape``, which
    combine interpolates in its own way. Bins are numbered from 0: combine asks for no masses.
    """
    needs("uproot", "io")
    import hist

    from fastjag.io import write_histograms

    card = Path(path)
    if card.suffix != ".txt":
        raise ValueError(f"{card}: the name of a datacard must end in .txt")
    check_target(card)
    x = exchange(model, counts)
    bins = len(x.observed)

    def template(values: Floats) -> Any:
        h = hist.Hist(hist.axis.Regular(bins, 0, bins, name="bin"), storage=hist.storage.Weight())
        h.view().value, h.view().variance = values, values if values is x.observed else 0
        return h

    histograms = {
        "data_obs": x.observed,
        "signal": x.signal,
        **{t.name: t.template for t in x.terms},
    }
    for nuisance, up, down in x.nuisances:
        if nuisance.kappa is None:
            histograms |= {f"signal_{nuisance.name}Up": up, f"signal_{nuisance.name}Down": down}
    target = card.with_suffix(".root")
    write_histograms(target, {f"{name}/{key}": template(h) for key, h in histograms.items()})
    write_text(card, _card(x, name, target.name))
    return target


def _card(x: Exchange, name: str, histograms: str) -> str:
    processes = ["signal", *(t.name for t in x.terms)]
    rates = [x.signal.sum(), *(t.template.sum() for t in x.terms)]
    rule = "-" * 40
    lines = [
        f"imax 1  channels\njmax {len(x.terms)}  backgrounds\nkmax {len(x.nuisances)}  nuisances\n{rule}",
        f"shapes * * {histograms} $CHANNEL/$PROCESS $CHANNEL/$PROCESS_$SYSTEMATIC\n{rule}",
        f"bin {name}\nobservation {x.observed.sum():.17g}\n{rule}",
        " ".join(["bin", *[name] * len(processes)]),
        " ".join(["process", *processes]),
        " ".join(["process", *map(str, range(len(processes)))]),
        " ".join(["rate", *(f"{rate:.17g}" for rate in rates)]) + f"\n{rule}",
    ]
    for nuisance, _, _ in x.nuisances:
        kind, value = (
            ("lnN", f"{nuisance.kappa:.17g}") if nuisance.kappa is not None else ("shape", "1")
        )
        lines.append(" ".join([nuisance.name, kind, value, *["-"] * len(x.terms)]))
    lines += [
        f"{t.name} rateParam {name} {t.name} {t.start:.17g} [{t.least:g},{RANGE:g}]"
        for t in x.terms
    ]
    return "\n".join(lines) + "\n"
