"""Models from files: none of them runs code unless it is trusted."""

import pickle
import warnings
import zipfile

import pytest
import torch

from fastjag.analyses.importance.models import load_module
from fastjag.analyses.importance.taylor import taylor_coefficients


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.mark.parametrize("kind", ["pickle", "exported"])
def test_modules(tmp_path, kind):
    module = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.SiLU(), torch.nn.Linear(4, 1))
    x = torch.randn(8, 2)
    if kind == "pickle":
        torch.save(module, tmp_path / "m.pt")
    else:
        rows = {0: torch.export.Dim.DYNAMIC}
        torch.export.save(
            torch.export.export(module, (x,), dynamic_shapes=(rows,)), tmp_path / "m.pt2"
        )
        (tmp_path / "m.pt2").rename(tmp_path / "m.pt")
    with pytest.raises(ValueError, match=r"m.pt: loading a model can run any code .*--trust-model"):
        load_module(tmp_path / "m.pt")
    found = load_module(tmp_path / "m.pt", trust=True)
    torch.testing.assert_close(found(x), module(x))
    mine, theirs = (taylor_coefficients(m, x.numpy()) for m in (module, found))
    assert theirs == pytest.approx(mine, rel=1e-5)


def test_torchscript(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 1)), tmp_path / "m.pt")
    with pytest.raises(ValueError, match=r"is TorchScript, .* give the module it was made of"):
        load_module(tmp_path / "m.pt", trust=True)


def test_a_pickle_that_runs_code(tmp_path):
    """It would leave a file behind."""
    with zipfile.ZipFile(tmp_path / "m.pt", "w") as archive:
        archive.writestr("m/data.pkl", pickle.dumps(Evil(str(tmp_path / "evil"))))
    with pytest.raises(ValueError, match="can run any code"):
        load_module(tmp_path / "m.pt")
    (tmp_path / "raw.pt").write_bytes(pickle.dumps(Evil(str(tmp_path / "evil"))))
    with pytest.raises(ValueError, match="can run any code"):
        load_module(tmp_path / "raw.pt")
    assert not (tmp_path / "evil").exists()


def test_what_is_no_module(tmp_path):
    torch.save(torch.nn.Linear(2, 1).state_dict(), tmp_path / "w.pt")
    with pytest.raises(ValueError, match="holds a OrderedDict, not a module"):
        load_module(tmp_path / "w.pt", trust=True)
    (tmp_path / "x.pt").write_text("x")
    with pytest.raises(ValueError, match="not a torch module"):
        load_module(tmp_path / "x.pt", trust=True)
    with pytest.raises(FileNotFoundError):
        load_module(tmp_path / "none.pt")
