"""``fastjag NAME config --show``, and options that are keys of settings."""

from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from fastjag.__main__ import app
from fastjag.analyses.common.config import markdown, show
from fastjag.analyses.dimuon.config import DimuonFile
from fastjag.analyses.diphoton.config import DiphotonConfig
from fastjag.analyses.gammajet.config import GammaJetConfig
from fastjag.analyses.importance.config import ImportanceConfig
from fastjag.analyses.jets.config import JetsConfig
from fastjag.analyses.rates.config import RatesConfig
from fastjag.analyses.train.config import TaggerConfig
from fastjag.commands import option
from fastjag.core.settings import setting, settings


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("dimuon", DimuonFile),
        ("diphoton", DiphotonConfig),
        ("gammajet", GammaJetConfig),
        ("importance", ImportanceConfig),
        ("jets", JetsConfig),
        ("rates", RatesConfig),
        ("train", TaggerConfig),
    ],
)
def test_show(name, kind):
    done = CliRunner().invoke(app, [name, "config", "--show"])
    assert done.exit_code == 0
    assert done.output == show(kind)
    asked = CliRunner().invoke(app, [name, "config"])
    assert asked.exit_code == 2
    assert "give --show" in asked.output


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("importance", ImportanceConfig),
        ("jets", JetsConfig),
        ("rates", RatesConfig),
        ("train", TaggerConfig),
    ],
)
def test_documented(name, kind):
    page = Path(__file__).parents[2] / "docs" / f"{name}.md"
    assert markdown(kind) in page.read_text(encoding="utf-8")


@settings
class Cuts:
    min_pt: float = setting("Jet pt above this [GeV].", default=20.0, least=0)
    slots: int | None = setting("Slots for jets.", default=None, least=1, most=9)
    trigger: str | None = setting("Trigger branch.", default="HLT", least=1)


class TestOptions:
    command = typer.Typer()

    @command.command()
    @staticmethod
    def run(
        pt: Annotated[float, option(Cuts, "min_pt", "--min-pt")] = Cuts.min_pt,
        slots: Annotated[int | None, option(Cuts, "slots")] = Cuts.slots,
        trigger: Annotated[str | None, option(Cuts, "trigger")] = Cuts.trigger,
    ) -> None:
        print(pt, slots, trigger)

    def invoke(self, *arguments):
        return CliRunner().invoke(self.command, arguments, terminal_width=120)

    def test_defaults_and_values(self):
        assert self.invoke().output == "20.0 None HLT\n"
        given = self.invoke("--min-pt", "5", "--slots", "9", "--trigger", "x")
        assert given.output == "5.0 9 x\n"

    def test_help(self):
        said = " ".join(self.invoke("--help").output.replace("│", " ").split())
        for text in ("Jet pt above this [GeV].", "[default: 20.0]", "x>=0", "1<=x<=9"):
            assert text in said

    @pytest.mark.parametrize("given", [("--min-pt", "-1"), ("--slots", "0"), ("--slots", "10")])
    def test_ranges(self, given):
        assert self.invoke(*given).exit_code == 2
