"""plain_values: what typer would make of a value, without asking it."""

import os
from pathlib import Path
from typing import Annotated

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.main import get_command
from typer.testing import CliRunner

from fastjag.commands.plain_values import leave_plain_values


def app():
    seen = []
    made = typer.Typer()

    @made.command()
    def command(
        files: list[str],
        out: Path = Path("out"),
        name: str | None = None,
        low: float = 0.5,
        bins: Annotated[int, typer.Option(min=1)] = 3,
        inside: Annotated[Path | None, typer.Option(exists=True)] = None,
        peak: Annotated[list[str] | None, typer.Option()] = None,
        step: str = "100 MB",
        mode: Annotated[Path, typer.Option(path_type=str)] = Path("m"),
        flag: bool = False,
    ) -> None:
        seen.append({k: (type(v), v) for k, v in locals().items() if k != "seen"})

    return made, seen


def outcome(plain, args):
    made, seen = app()
    command = get_command(made)
    if plain:
        leave_plain_values(command)
    try:
        command.main(args=args, standalone_mode=False)
    except Exception as error:  # noqa: BLE001 - of typer's vendored click
        return type(error), str(error)
    return seen


TEXT = st.sampled_from(
    ["a", "", "1", "-", "0.5", "inf", "nan", " 4 ", "1_000", "/", "../x", "--", "x=y", "ä"]
)


@given(
    files=st.lists(TEXT.filter(lambda t: not t.startswith("-")), max_size=3),
    options=st.lists(
        st.tuples(st.sampled_from(["out", "name", "low", "bins", "inside", "peak", "step", "mode"]), TEXT),
        max_size=4,
    ),
)  # fmt: skip
def test_as_typer(files, options):
    args = [*files, *(f"--{name}={value}" for name, value in options)]
    ours, theirs = outcome(True, args), outcome(False, args)
    assert repr(ours) == repr(theirs)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_path_that_cannot_be_read(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("")
    secret.chmod(0)
    assert outcome(True, ["a", f"--out={secret}"]) == outcome(False, ["a", f"--out={secret}"])


def test_commands_inside_of_groups():
    made = typer.Typer()
    group = typer.Typer()
    made.add_typer(group, name="inner")

    @group.command()
    def one(out: Path = Path("x")) -> None:
        typer.echo(repr(out))

    @group.command()
    def two(n: int = 3) -> None:
        typer.echo(repr(n))

    command = get_command(made)
    leave_plain_values(command)
    run = CliRunner().invoke
    assert run(made, ["inner", "one"]).output == f"{Path('x')!r}\n"
    for args, said in (
        (["inner", "one", "--out", "y"], repr(Path("y"))),
        (["inner", "two", "--n", "4"], "4"),
    ):
        with pytest.raises(SystemExit) as done:
            command.main(args=args)
        assert done.value.code == 0, said
