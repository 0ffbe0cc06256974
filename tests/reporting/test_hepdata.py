"""Tables for HEPData hold what they were given, and HEPData's own validator accepts them."""

import subprocess
import sys

import numpy as np
import pytest
import yaml

from fastjag.reporting.hepdata import HepColumn, HepTable, write_hepdata

MASS = HepColumn("mass", [[1.0, 2.0], [2.0, 4.0]], "GeV")
LIMIT = HepColumn(
    "limit", [3.0, np.nan], "fb", {"1 s.d.": [[1.0, 2.0], [3.0, 4.0]], "stat": [0.5, np.nan]}
)


def test_the_validator_of_hepdata_accepts_them(tmp_path):
    """In a process of its own: the validator leaves files open, and warns."""
    tables = [HepTable("Limits", "Upper limits.", [MASS], [LIMIT], "Figure 1"),
              HepTable("Widths", "Of bins: <2>.", [MASS], [HepColumn("width", [1, 2])])]  # fmt: skip
    write_hepdata(tmp_path / "hepdata", tables, comment="A search.", energy=13000)
    code = """
import sys
from hepdata_validator.full_submission_validator import FullSubmissionValidator
validator = FullSubmissionValidator()
good = validator.validate(directory=sys.argv[1])
print(validator.get_messages())
sys.exit(not good)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "hepdata"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip() == "{}"


def test_content(tmp_path):
    write_hepdata(tmp_path / "h", [HepTable("Limits", "x", [MASS], [LIMIT])])
    content = yaml.safe_load((tmp_path / "h" / "table_1.yaml").read_text())
    assert content["independent_variables"][0] == {
        "header": {"name": "mass", "units": "GeV"},
        "values": [{"low": 1.0, "high": 2.0}, {"low": 2.0, "high": 4.0}],
    }
    first, second = content["dependent_variables"][0]["values"]
    assert first == {"value": 3.0, "errors": [
        {"asymerror": {"minus": -1.0, "plus": 3.0}, "label": "1 s.d."},
        {"symerror": 0.5, "label": "stat"}]}  # fmt: skip
    assert second["value"] == "-"
    assert [e["label"] for e in second["errors"]] == ["1 s.d."]


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ([], "at least one table"),
        ([HepTable("a", "", [MASS], [HepColumn("x", [1, 2])])] * 2, "different names"),
        ([HepTable("a", "", [MASS], [HepColumn("x", [1, 2, 3])])], "one length"),
        (
            [HepTable("a", "", [MASS], [HepColumn("x", [1, 2], errors={"e": [1]})])],
            "must have shape",
        ),
    ],
)
def test_errors_come_before_files(tmp_path, tables, message):
    with pytest.raises(ValueError, match=message):
        write_hepdata(tmp_path / "h", tables)
    assert not (tmp_path / "h").exists()
