"""Tests that need a Debian package are skipped without it, or fail where it is expected; make servers installs it."""

import subprocess
from pathlib import Path

import debian
import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def nothing_there(monkeypatch):
    monkeypatch.setattr(debian.shutil, "which", lambda program, path: None)
    monkeypatch.delenv("FASTJAG_EXPECT_SERVERS", raising=False)


class TestNeedsProgram:
    def test_the_path_of_one_that_is_there(self, monkeypatch, tmp_path):
        program = tmp_path / "chromium"
        program.touch(mode=0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        assert debian.needs_program("chromium") == str(program)

    def test_skipped_without_it(self, nothing_there):
        with pytest.raises(
            pytest.skip.Exception, match=r"needs xrootd: Debian package xrootd-server"
        ):
            debian.needs_program("xrootd")

    def test_expected(self, nothing_there, monkeypatch):
        monkeypatch.setenv("FASTJAG_EXPECT_SERVERS", "1")
        with pytest.raises(pytest.fail.Exception, match=r"no munged: Debian package munge"):
            debian.needs_program("munged")


class TestInstall:
    @pytest.fixture
    def commands(self, monkeypatch):
        """What is run, instead of running it; installing makes the programs of the packages appear."""
        there, commands = set(debian.PACKAGES) - {"chromium", "xrootd"} | {"apt-get"}, []

        def run(command, **_):
            commands.append(command)
            there.update(p for p, package in debian.PACKAGES.items() if package in command)

        monkeypatch.setattr(debian, "find", lambda program: program if program in there else None)
        monkeypatch.setattr(subprocess, "run", run)
        monkeypatch.setattr(debian.os, "geteuid", lambda: 0)
        return commands

    def test_what_is_missing_and_once(self, commands):
        debian.install()
        update, install = commands
        assert update[-1] == "update"
        assert install[-2:] == ["chromium", "xrootd-server"]
        debian.install()
        assert len(commands) == 2

    def test_not_as_a_user(self, commands, monkeypatch):
        monkeypatch.setattr(debian.os, "geteuid", lambda: 1000)
        with pytest.raises(SystemExit, match=r"only root .* packages: chromium xrootd-server$"):
            debian.install()
        assert commands == []

    def test_not_without_apt(self, commands, monkeypatch):
        find = debian.find
        monkeypatch.setattr(debian, "find", lambda p: None if p == "apt-get" else find(p))
        with pytest.raises(SystemExit, match=r"no apt-get.* packages: chromium xrootd-server$"):
            debian.install()

    def test_a_package_without_its_program(self, commands, monkeypatch):
        monkeypatch.setitem(debian.PACKAGES, "chromium-of-old", "chromium-old")
        monkeypatch.setattr(subprocess, "run", lambda *_, **__: None)
        with pytest.raises(SystemExit, match="not found: chromium chromium-old xrootd-server"):
            debian.install()


def test_continuous_integration_expects_them():
    script = (ROOT / ".ci" / "run").read_text()
    assert (
        script.index("make servers")
        < script.index("FASTJAG_EXPECT_SERVERS=1")
        < script.index("make test")
    )
