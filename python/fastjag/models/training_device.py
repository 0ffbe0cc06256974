"""Where models are trained: a device that is there, found out before any work."""

from __future__ import annotations

import re


def training_device(device: object, *libraries: str) -> str:
    """``device``, "cpu", "cuda" or "cuda:1" (2, ...), if ``libraries`` can use it here.

    ``libraries`` are those that train: "torch", "xgboost". Raises ValueError that names the device and
    what is missing.
    """
    match = re.fullmatch(r"cpu|cuda(?::([0-9]{1,3}))?", str(device))
    if not match:
        raise ValueError(f"device must be 'cpu', 'cuda' or 'cuda:N', got {device!r}")
    if match[0] == "cpu":
        return "cpu"
    if "torch" in libraries:
        import torch

        there = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if int(match[1] or 0) >= there:
            seen = f"{there} CUDA device{'s' * (there > 1)}" if there else "no CUDA device"
            raise ValueError(
                f"device {device!r} is not there: torch {torch.__version__} sees {seen}"
            )
    if "xgboost" in libraries:
        import xgboost

        if not xgboost.build_info().get("USE_CUDA"):
            raise ValueError(
                f"device {device!r} cannot be used: XGBoost {xgboost.__version__} is a build without CUDA"
            )
    return match[0]
