"""Trained networks out of files."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

from fastjag.core.checks import first_line, needs


def load_module(path: str | os.PathLike[str], *, trust: bool = False) -> Any:
    """A torch module from a file of ``torch.save(module)`` or ``torch.export.save``.

    Both formats can run any code as they are loaded (the second falls back to pickles), so
    ``trust`` has to say that nobody else had a hand in the file. Raises ValueError naming the file.
    """
    needs("torch", "importance")
    import torch

    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        with zipfile.ZipFile(path) as archive:
            parts = {name.split("/", 1)[-1] for name in archive.namelist()}
    except (OSError, zipfile.BadZipFile):
        parts = set()
    if "constants.pkl" in parts and any(name.startswith("code/") for name in parts):
        raise ValueError(
            f"{path}: is TorchScript, which torch.func cannot look into; give the module it was made of"
        )
    if not trust:
        raise ValueError(
            f"{path}: loading a model can run any code that is in the file; if you know where it "
            f"is from, say so (--trust-model, trust=True)"
        )
    exported = any(
        p.endswith(("archive_format", "serialized_exported_program.json")) for p in parts
    )
    try:
        if exported:
            module = torch.export.load(str(path)).module()
        else:
            module = torch.load(path, map_location="cpu", weights_only=False)
    except Exception as error:  # unpickling can raise anything
        raise ValueError(f"{path}: not a torch module: {first_line(error)}") from error
    if not isinstance(module, torch.nn.Module):
        # The file's content is wrong, not an argument's type.
        raise ValueError(  # noqa: TRY004
            f"{path}: holds a {type(module).__name__}, not a module: torch.save(module, path) "
            f"instead of its weights"
        )
    return module
