"""The device of a training is there, or an error says so before it begins."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from fastjag.models.training_device import training_device


@pytest.fixture
def machine(monkeypatch):
    """Stand-ins for libraries of a machine with so many GPUs."""

    def machine(n_gpus, xgboost_with_cuda):
        cuda = SimpleNamespace(is_available=lambda: n_gpus > 0, device_count=lambda: n_gpus)
        monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(__version__="2.9", cuda=cuda))
        info = {"USE_CUDA": xgboost_with_cuda}
        xgboost = SimpleNamespace(__version__="3.1", build_info=lambda: info)
        monkeypatch.setitem(sys.modules, "xgboost", xgboost)

    return machine


@pytest.mark.parametrize("libraries", [(), ("torch",), ("xgboost",), ("torch", "xgboost")])
def test_a_cpu_is_always_there(machine, libraries):
    machine(0, False)
    assert training_device("cpu", *libraries) == "cpu"


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "cuda:1"])
def test_gpus_that_are_there(machine, device):
    machine(2, True)
    assert training_device(device, "torch", "xgboost") == device


@pytest.mark.parametrize(
    ("n_gpus", "device", "message"),
    [
        (0, "cuda", "'cuda' is not there: torch 2.9 sees no CUDA device"),
        (1, "cuda:1", "'cuda:1' is not there: torch 2.9 sees 1 CUDA device$"),
        (2, "cuda:7", "'cuda:7' is not there: torch 2.9 sees 2 CUDA devices"),
    ],
)
def test_gpus_that_are_not(machine, n_gpus, device, message):
    machine(n_gpus, True)
    with pytest.raises(ValueError, match=message):
        training_device(device, "torch")
    assert training_device(device, "xgboost") == device  # torch is not asked


def test_a_build_of_xgboost_without_cuda(machine):
    machine(1, False)
    with pytest.raises(ValueError, match=r"XGBoost 3\.1 is a build without CUDA"):
        training_device("cuda", "torch", "xgboost")


@pytest.mark.parametrize("device", ["tpu", "", None, 0, "cuda:", "cuda:-1", "cuda: 1", "cpu\n"])
def test_no_device(device):
    with pytest.raises(ValueError, match="device must be 'cpu', 'cuda' or 'cuda:N', got"):
        training_device(device)


def test_models_ask():
    from fastjag.models import boosted_trees, deepsets, flow

    x, y = np.zeros((20, 2)), np.arange(20) % 2
    with pytest.raises(ValueError, match="device must be"):
        flow.ConditionalFlow(device="tpu")
    with pytest.raises(ValueError, match="device must be"):
        boosted_trees.BoostedTrees(device="tpu").fit(x, y)
    with pytest.raises(ValueError, match="device must be"):
        deepsets.DeepSets(inputs={"Jet": ["pt"]}, device="tpu").fit({}, y)
