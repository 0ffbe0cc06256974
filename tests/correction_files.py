"""Synthetic files of the schema of correctionlib, as the groups of an experiment write them."""

import gzip
import json

import numpy as np


def variables(**types):
    return [{"name": name, "type": kind} for name, kind in types.items()]


def correction(name, data, formulas=None, **types):
    return {
        "name": name, "version": 1, "inputs": variables(**types),
        "output": {"name": "weight", "type": "real"}, "data": data,
        **({"generic_formulas": formulas} if formulas else {}),
    }  # fmt: skip


def binning(name, edges, content, flow="clamp"):
    return {"nodetype": "binning", "input": name, "edges": edges, "content": content, "flow": flow}


def category(name, default=None, **contents):
    items = [{"key": k, "value": v} for k, v in contents.items()]
    node = {"nodetype": "category", "input": name, "content": items}
    return node if default is None else {**node, "default": default}


def numbered(name, contents):
    items = [{"key": k, "value": v} for k, v in enumerate(contents)]
    return {"nodetype": "category", "input": name, "content": items}


def formula(expression, *variables, parameters=()):
    return {
        "nodetype": "formula", "expression": expression, "parser": "TFormula",
        "variables": list(variables), "parameters": list(parameters),
    }  # fmt: skip


def write(path, corrections, compound=()):
    """A file; compressed if its name says so."""
    text = json.dumps(
        {"schema_version": 2, "corrections": list(corrections),
         "compound_corrections": list(compound)}
    ).encode()  # fmt: skip
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def muon_factors(seed=1):
    """Identification: |eta| x pt x variation; pt is clamped, |eta| beyond 2.4 is an error."""
    rng = np.random.default_rng(seed)
    edges = [[0.0, 0.9, 1.2, 2.1, 2.4], [15.0, 20.0, 25.0, 30.0, 40.0, 50.0, 60.0, 120.0]]

    def values(shift):
        return {
            "nodetype": "multibinning", "inputs": ["abseta", "pt"], "edges": edges,
            "content": (rng.normal(0.98, 0.02, 28) + shift).tolist(), "flow": "clamp",
        }  # fmt: skip

    data = category(
        "scale_factors", nominal=values(0.0), systup=values(0.01), systdown=values(-0.01)
    )
    return correction("ID", data, abseta="real", pt="real", scale_factors="string")


def pileup(seed=2):
    edges = [float(x) for x in range(100)]
    rng = np.random.default_rng(seed)
    contents = {k: binning("NumTrueInteractions", edges, rng.uniform(0.5, 1.5, 99).tolist())
                for k in ("nominal", "up", "down")}  # fmt: skip
    return correction(
        "PU", category("weights", **contents), NumTrueInteractions="real", weights="string"
    )


def muon_momenta(a=1e-4, m=1.001, k=(1.1, 1.0), layers=14):
    """Scale and resolution of muons, with a table for each that the muon group has."""
    eta, phi = [-2.4, 0.0, 2.4], [-3.2, 0.0, 3.2]

    def grid(values):
        return {
            "nodetype": "multibinning", "inputs": ["eta", "phi"], "edges": [eta, phi],
            "content": list(values), "flow": "clamp",
        }  # fmt: skip

    def scale(name, nominal, error, rho=None):
        contents = {"nom": grid(nominal), "stat": grid([error] * 4)}
        contents |= {} if rho is None else {"rho_stat": grid([rho] * 4)}
        return correction(name, category("var", **contents), eta="real", phi="real", var="string")

    def width(name, value):
        data = category("var", nom=binning("abseta", [0.0, 1.2, 2.4], [value, value * 1.05]),
                        stat=binning("abseta", [0.0, 1.2, 2.4], [0.01, 0.02]))  # fmt: skip
        return correction(name, data, abseta="real", var="string")

    def parameters(name, values):
        data = binning("abseta", [0.0, 2.4],
                       [binning("nL", [6.5, float(layers)], [numbered("param", values)])])  # fmt: skip
        return correction(name, data, abseta="real", nL="real", param="int")

    return [
        scale("a_data", [a, -a, 2 * a, 0.0], a / 10), scale("a_mc", [0.0, a, -a, a], a / 10),
        scale("m_data", [m, m, 2 - m, 1.0], 1e-4), scale("m_mc", [1.0, m, m, 2 - m], 1e-4, 0.3),
        width("k_data", k[0]), width("k_mc", k[1]),
        parameters("cb_params", [0.01, 0.9, 3.0, 1.4]), parameters("poly_params", [0.01, 1e-4, 0.0]),
    ]  # fmt: skip


def jet_corrections():
    """Three levels, a formula in bins of eta each, and the compound of all."""
    offset = formula("max(0.1, 1-x*(y-[0])*[1]/z)", "JetA", "Rho", "JetPt", parameters=[1.5, 0.5])
    levels = [
        correction("L1", offset, JetA="real", Rho="real", JetPt="real"),
        correction(
            "L2",
            binning("JetEta", [-5.2, -1.3, 1.3, 5.2],
                    [{"nodetype": "formularef", "index": 0, "parameters": [1.0 + 0.1 * i, 2.0]}
                     for i in range(3)], flow="error"),
            formulas=[{k: v for k, v in formula("[0]+[1]/log10(max(x,10))", "JetPt").items()
                       if k != "parameters"}],
            JetEta="real", JetPt="real",
        ),
        correction("Res", binning("JetEta", [-5.2, 0.0, 5.2], [1.01, 0.99]), JetEta="real"),
    ]  # fmt: skip
    stack = {
        "name": "L1L2Res", "inputs": variables(JetA="real", JetEta="real", JetPt="real", Rho="real"),
        "output": {"name": "correction", "type": "real"}, "inputs_update": ["JetPt"],
        "input_op": "*", "output_op": "*", "stack": ["L1", "L2", "Res"],
    }  # fmt: skip
    return levels, [stack]


def jet_resolution():
    r = binning(
        "JetEta", [-5.2, 5.2],
        [formula("sqrt([0]*[0]/(x*x)+[1]/x+[2]*[2])", "JetPt", parameters=[3.0, 0.8, 0.04])],
    )  # fmt: skip
    s = {k: binning("JetEta", [-5.2, -2.5, 2.5, 5.2], [1.2 + d, 1.1 + d, 0.9 + d])
         for k, d in (("nom", 0.0), ("up", 0.05), ("down", -0.05))}  # fmt: skip
    return [
        correction("PtResolution", r, JetEta="real", JetPt="real", Rho="real"),
        correction("ScaleFactor", category("systematic", **s), JetEta="real", systematic="string"),
    ]


def veto_map():
    """Jets with 0 < eta < 1 and 1 < phi < 2 are left out."""
    content = [0.0] * 9
    content[4] = 100.0
    grid = {
        "nodetype": "multibinning", "inputs": ["eta", "phi"],
        "edges": [[-5.2, 0.0, 1.0, 5.2], [-3.1415926, 1.0, 2.0, 3.1415926]], "content": content,
        "flow": "error",
    }  # fmt: skip
    return correction(
        "Summer", category("type", jetvetomap=grid), type="string", eta="real", phi="real"
    )
