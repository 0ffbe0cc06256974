"""Writes tests/data/weaver.json: what weaver-core makes of a few events, for test_weaver.py.

Run by hand where weaver-core is installed (0.5.3 wrote what is there): ``python tests/inputs/record_weaver.py``
"""

import json
import tempfile
from pathlib import Path
from unittest import mock

import awkward as ak
import numpy as np

DATA = Path(__file__).parents[1] / "data" / "weaver.json"
N = 40

CONFIG = """
selection: >
   (jet_pt > 150) & (np.abs(jet_eta) < 2.4) &
   (event_no % 7 != 0)
test_time_selection: (jet_pt > 100)
new_variables:
   part_mask: ak.ones_like(part_deta)
   part_pt: np.hypot(part_px, part_py)
   part_pt_log: np.log(part_pt)
   part_logptrel: np.log(part_pt/jet_pt)
   part_deltaR: np.hypot(part_deta, part_dphi)
   part_d0: np.tanh(part_d0val)
   part_isPos: ak.where(part_charge > 0, 1, 0)
   part_mass: _p4_from_pxpypze(part_px, part_py, part_pz, part_energy).mass
   label_a: label == 0
   label_b: (label == 1)
   label_c: 1 - label_a - label_b
   jet_pt_log: np.log(jet_pt)
preprocess:
   method: manual
   data_fraction: 0.5
inputs:
   pf_points:
      length: 4
      pad_mode: wrap
      vars:
         - [part_deta, null]
         - part_dphi
   pf_features:
      length: 4
      pad_mode: wrap
      vars:
         - [part_pt_log, 1.7, 0.7]
         - [part_logptrel, -4.7, 0.7]
         - [part_deltaR, 0.2, 4.0]
         - [part_charge, null]
         - [part_isPos, null]
         - [part_d0, null]
         - [part_mass, 0, 1, 0, 1]
   pf_far:
      length: 5
      vars:
         - [part_energy, 20, 0.05, -1, 2, -9]
   pf_mask:
      length: 4
      pad_mode: constant
      vars:
         - [part_mask, null]
   jet_features:
      length: null
      vars:
         - [jet_pt_log, 5, 0.5]
         - [jet_eta, null]
labels:
   type: simple
   value: [label_a, label_b, label_c]
observers: [event_no, jet_pt]
weights:
   use_precomputed_weights: false
   reweight_method: flat
   reweight_vars:
      jet_pt: [150, 250, 400, 800]
      jet_eta: [-2.4, 0, 2.4]
   reweight_classes: [label_a, label_b, label_c]
   class_weights: [1, 1, 2.5]
   reweight_threshold: 15
"""
WEIGHTS = {
    "flat": {},
    "ref": {"reweight_method": "ref"},
    "flat of weights": {"reweight_basewgt": "w"},
    "ref, clipped": {"reweight_method": "ref", "reweight_discard_under_overflow": False, "reweight_threshold": 30},
}  # fmt: skip


def some_events():
    """Offsets, columns of particles and of events."""
    rng = np.random.default_rng(3)
    counts = rng.poisson(3, N)
    counts[[1, 9]], counts[4] = 0, 12
    m = counts.sum()
    momenta = rng.normal(0, 20, (3, m))
    deta = rng.normal(0, 0.3, m)
    deta[::13] = np.nan
    label = rng.integers(0, 3, N)
    parts = dict(zip(("px", "py", "pz"), momenta, strict=True)) | {
        "energy": np.sqrt((momenta**2).sum(0) + 300), "deta": deta, "dphi": rng.normal(0, 0.3, m),
        "d0val": rng.normal(0, 3, m),
    }  # fmt: skip
    columns = {f"part_{n}": v.astype("f4") for n, v in parts.items()}
    columns["part_charge"] = rng.integers(-1, 2, m).astype("i4")
    flat = {
        "jet_pt": (rng.exponential(200, N) + 100 + 50 * label).astype("f4"),
        "jet_eta": rng.normal(0, 1, N).astype("f4"), "label": label.astype("i4"),
        "event_no": rng.integers(0, 2**31, N).astype("i4"), "w": rng.uniform(0.5, 2, N).astype("f4"),
    }  # fmt: skip
    return np.cumsum([0, *counts]), columns, flat


def main():
    import yaml
    from weaver.utils.data import preprocess
    from weaver.utils.data.config import DataConfig
    from weaver.utils.dataset import _finalize_inputs

    offsets, columns, flat = some_events()

    def table():
        lists = {n: ak.unflatten(v, np.diff(offsets)) for n, v in columns.items()}
        return ak.Array(lists | flat)

    def prepared(config, selection):
        chosen = preprocess._apply_selection(table(), selection, config.var_funcs)
        return preprocess._build_new_variables(chosen, dict(config.var_funcs))

    content = yaml.safe_load(CONFIG)
    record = {
        "offsets": offsets.tolist(), "columns": {n: [v.dtype.str, v.tolist()] for n, v in columns.items()},
        "flat": {n: [v.dtype.str, v.tolist()] for n, v in flat.items()}, "tensors": {}, "weights": {},
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder, mock.patch("time.sleep"):
        for name, changes in WEIGHTS.items():
            path = Path(folder) / "c.yaml"
            path.write_text(
                yaml.safe_dump(content | {"weights": content["weights"] | changes}, sort_keys=False)
            )
            config = DataConfig.load(path)
            rows = prepared(config, config.selection)
            config.reweight_hists = preprocess.WeightMaker(["a"], config).make_weights(rows)
            record["weights"][name] = preprocess._build_weights(rows, config).tolist()
        for name in ("selection", "test_time_selection"):
            found = _finalize_inputs(prepared(config, getattr(config, name)), config)
            record["tensors"][name] = {n: np.asarray(v).tolist() for n, v in found.items()}
    DATA.write_text(json.dumps(rounded(record)))


def rounded(value):
    """Nine digits tell one float32 from the next."""
    if isinstance(value, dict):
        return {name: rounded(one) for name, one in value.items()}
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return float(f"{value:.9g}") if isinstance(value, float) else value


if __name__ == "__main__":
    main()
