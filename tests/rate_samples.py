"""Files of trigger bits, and the command, that several test modules share."""

import numpy as np
import uproot
from typer.testing import CliRunner

from fastjag.__main__ import app


def write_events(path, run, section, blocks=None, **bits):
    columns = {"run": np.asarray(run, np.uint32), "luminosityBlock": np.asarray(section, np.uint32)}
    columns |= {name: np.asarray(b) for name, b in bits.items()}
    with uproot.recreate(path) as file:
        file.mktree("Events", {k: v.dtype for k, v in columns.items()})
        file["Events"].extend(columns)
        if blocks is not None:
            runs, sections = (np.array(x, np.uint32) for x in zip(*blocks, strict=True))
            file.mktree("LuminosityBlocks", {"run": runs.dtype, "luminosityBlock": runs.dtype})
            file["LuminosityBlocks"].extend({"run": runs, "luminosityBlock": sections})
    return path


def invoke(*arguments):
    return CliRunner().invoke(app, ["rates", *map(str, arguments)])
