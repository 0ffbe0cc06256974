"""What an installed fastjag does with NumPy alone: the Python that has it runs this, in a clean environment.

python -I tests/installed.py [cuda]    # "cuda": with the compiled CUDA kernels, "cpu": without
"""

import importlib.util
import sys
from pathlib import Path

import numpy as np

import fastjag as fj
from fastjag import kernels

folder = Path(fj.__file__).parent
assert "site-packages" in folder.parts, f"fastjag is not installed: {folder}"
assert (folder / "py.typed").is_file()

# Events of two, no and one muon.
muons = fj.Jagged(
    [0, 2, 2, 3],
    {
        "pt": [30.0, 40.0, 5.0],
        "eta": [0.5, -0.5, 0.0],
        "phi": [0.0, 3.0, 1.0],
        "charge": [1, -1, 1],
    },
)
pairs = fj.dimuon(muons, charge="opposite")
momentum = np.array([[30, 0, 30 * np.sinh(0.5)],
                     [40 * np.cos(3), 40 * np.sin(3), 40 * np.sinh(-0.5)]])  # fmt: skip
energy = np.sqrt((momentum**2).sum(axis=1) + 0.1056583755**2)
mass = np.sqrt(energy.sum() ** 2 - (momentum.sum(axis=0) ** 2).sum())
assert len(pairs.mass) == 1, pairs.mass
assert abs(pairs.mass[0] / mass - 1) < 1e-6, (pairs.mass, mass)

padded, mask = muons.pad(2, ["pt"], by="pt")
assert padded[:, :, 0].tolist() == [[40, 30], [0, 0], [5, 0]], padded
assert mask.tolist() == [[True, True], [False, False], [True, False]], mask
assert muons.aggregate("pt", "sum")["sum"].tolist() == [70, 0, 5]
assert muons.keep(muons["pt"] > 10).counts.tolist() == [2, 0, 0]

compiled = importlib.util.find_spec("fastjag._cuda") is not None
if sys.argv[1:] == ["cuda"]:
    import fastjag._cuda

    assert callable(fastjag._cuda.dimuon)
else:
    assert sys.argv[1:] in ([], ["cpu"]), sys.argv
    assert sys.argv[1:] == [] or not compiled, "there are CUDA kernels"
print(f"fastjag {fj.__version__} works on Python {sys.version.split()[0]}, NumPy {np.__version__}, "
      f"{kernels.build_info()['SIMD']}, {'with' if compiled else 'without'} CUDA kernels")  # fmt: skip
