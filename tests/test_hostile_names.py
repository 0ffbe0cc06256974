"""Names from outside are shown as they are, in pictures and on the terminal."""

import warnings

import numpy as np
import pytest

from fastjag import __main__ as cli
from fastjag.analyses.common.tables import write_parquet
from fastjag.commands import console, remark
from fastjag.reporting.plots import figure
from fastjag.reporting.titles import plain

NAMES = ["a$b", r"$\frac{$", "$x$", "[red]y[/red]", "[/]", "z[0]", "_u", ":smile:", r"q\$", "p_{T"]


@pytest.fixture
def run(monkeypatch, capsys):
    """What a command prints, in this process."""
    monkeypatch.setattr(console, "_width", 250)

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["fastjag", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        assert ended.value.code == 0, err
        return out

    return run


@pytest.mark.parametrize("name", NAMES)
def test_a_label_is_the_name(name):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with figure() as (fig, ax), warnings.catch_warnings():
        warnings.simplefilter("error")
        ax.plot([0, 1], [0, 1], label=plain(name))
        shown = ax.legend().get_texts()
        assert len(shown) == 1  # not left out
        FigureCanvasAgg(fig).draw()
        # What matplotlib draws, and whether as a formula.
        assert shown[0]._preprocess_math(shown[0].get_text()) == (
            shown[0].get_text().replace(r"\$", "$"),
            False,
        )
        assert shown[0].get_text().replace(r"\$", "$").strip() == name


def test_importance(run, tmp_path):
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, 300)
    columns = {name: rng.normal(y * (i == 0), 1) for i, name in enumerate(NAMES)}
    write_parquet(tmp_path / "t.parquet", {**columns, "[label]": y})
    out = run("importance", "run", tmp_path / "t.parquet", "--label", "[label]", "--epochs", 1,
              "--repeats", 1, "--out", tmp_path / "out")  # fmt: skip
    for name in NAMES:
        assert name in out
    assert (tmp_path / "out" / "taylor.png").stat().st_size > 10_000


def test_rates(run, tmp_path):
    lines = [f"{name},{run_},{10 + run_},{1 + run_ / 10}" for name in NAMES for run_ in (1, 2, 3)]
    (tmp_path / "r.csv").write_text("trigger,run,pileup,rate\n" + "\n".join(lines) + "\n")
    out = run("rates", "fit", tmp_path / "r.csv", "--at", 20, "--out", tmp_path / "[out]")
    for name in NAMES:
        assert name in out
    assert str(tmp_path / "[out]") in out


def test_remarks(capsys):
    remark("skipped", "[bold]f.root:x[1]: [/nothing]")
    assert capsys.readouterr().out == "skipped [bold]f.root:x[1]: [/nothing]\n"


def test_spectrum_of_a_file(run, tmp_path):
    run("toys", tmp_path / "[red]a.root", "--events", 50)
    out = run("spectrum", tmp_path / "[red]a.root", "--out", tmp_path / "[b]")
    assert f"results in {tmp_path / '[b]'}" in out
