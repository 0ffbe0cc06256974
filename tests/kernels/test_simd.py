"""Every instruction set that this CPU has gives the same bits."""

import os
import subprocess
import sys

import pytest

from fastjag import kernels

SCRIPT = """
import hashlib, sys
import numpy as np
import fastjag as fj
from fastjag import kernels

rng = np.random.default_rng(1)
n = 20_001
offsets = np.r_[0, np.cumsum(rng.choice([0, 1, 2, 3, 7, 40], n, p=[.1, .2, .4, .2, .09, .01]))]
digest = hashlib.sha256()
for dtype in ("f4", "f8", "i4", "u1", "i8"):
    size = int(offsets[-1])
    columns = {"pt": rng.exponential(20, size).astype(dtype)}
    columns |= {name: rng.uniform(-3, 3, size).astype(dtype) for name in ("eta", "phi")}
    columns["charge"] = rng.choice([-1, 1], size)
    if dtype[0] == "f":
        columns["pt"][::97] = np.nan
    muons = fj.Jagged(offsets, columns)
    for values in muons.aggregate("pt", kernels.STATISTICS).values():
        digest.update(np.nan_to_num(values.astype("f8")).tobytes())
    for width in (3, 16, 50):
        for layout in ("NKF", "NFK"):
            for options in ({}, {"mean": 1.5, "scale": 0.3, "clip": (-1, 2), "dtype": "f4"},
                            {"mode": "wrap"}, {"mode": "wrap", "scale": 0.3, "nan": 1, "fill": 2}):
                values, mask = muons.pad(width, ["pt", "eta", "phi", "charge"], layout=layout,
                                         by="pt" if width == 3 else None, **options)
                digest.update(np.nan_to_num(values).tobytes())
                digest.update(mask.tobytes())
    for pairs in ("leading", "all"):
        found = fj.dimuon(muons, "opposite", pairs=pairs)
        for name in found:
            digest.update(np.nan_to_num(found[name]).tobytes())
    if dtype[0] == "f":
        others = muons[::-1].with_columns(pt=columns["pt"])
        for found in fj.nearest(muons, others):
            digest.update(found.tobytes())
        cones = fj.in_cone(muons, others, 0.7)
        for values in (cones.offsets, cones["index"], cones["delta_r"]):
            digest.update(values.tobytes())
    for edges in (np.linspace(0, 60, 61), np.geomspace(1, 100, 40)):
        for kind in ("f4", "f8"):
            x = columns["pt"].astype(kind)
            w = columns["eta"].astype(kind)
            digest.update(kernels.histogram([x], [edges])[0].tobytes())
            digest.update(np.array(kernels.histogram([x, w], [edges, edges], weights=w)).tobytes())
            for weights in ([w], [w] * 3):
                for result in kernels.histogram_cuts([x, w], [edges, edges[:9]], w,
                                                     np.array([-1.0, 0, 2]), weights=weights):
                    digest.update(result.tobytes())
for encoding, bits, dtype in (("plain", 32, "f4"), ("split", 16, "u2"), ("split", 32, "f4"),
                              ("split", 64, "f8"), ("zigzag", 16, "i2"), ("zigzag", 32, "i4"),
                              ("zigzag", 64, "i8"), ("index", 32, "i8"), ("split_index", 64, "i8"),
                              ("bit", 1, "?"), ("half", 16, "f4"), ("split_half", 16, "f4"),
                              ("truncated", 17, "f4"), ("quantised", 20, "f8")):
    values = np.empty(5003, dtype)
    page = rng.bytes(kernels.page_bytes(len(values), bits))
    kernels.pages(page, encoding, bits, values, low=-1.0, high=3.0)
    digest.update(values.tobytes())
points = fj.Jagged(offsets, {k: rng.normal(size=offsets[-1]) for k in "ab"})[:2300]
match = fj.PyramidMatch(7, {"a": (-3, 3), "b": (-3, 3)})
for dtype in ("u2", "u4", "f4", "f8"):
    digest.update(match.gram(points, dtype=dtype).tobytes())
    digest.update(match.gram(points[:200], points, dtype=dtype).tobytes())
print(kernels.build_info()["SIMD"], digest.hexdigest())
"""


def run(level):
    environment = {**os.environ, "FASTJAG_SIMD": level}
    return subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.skipif(
    not str(kernels.build_info()["SIMD"]).startswith("x86-64"), reason="one build only"
)
class TestLevels:
    def test_same_bits(self):
        results = {}
        for level in ("v2", "v3", "v4"):
            done = run(level)
            if done.returncode:
                assert "this CPU has up to" in done.stderr
                continue
            name, digest = done.stdout.strip().rsplit(" ", 1)
            assert f"-{level} " in name
            results[level] = digest
        assert "v2" in results
        assert len(set(results.values())) == 1, results

    def test_unknown_level(self):
        done = run("v9")
        assert done.returncode != 0
        assert "FASTJAG_SIMD must be v2, v3 or v4, got 'v9'" in done.stderr
