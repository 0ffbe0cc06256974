"""Small files in several ranges, which begin within their clusters."""

from itertools import pairwise

from fastjag.io.facts import Wanted


def cut_files(monkeypatch, size):
    """From here on files are cut into ranges of so many events."""

    def cut(self, facts):
        return list(pairwise([*range(0, facts.n_entries, size), facts.n_entries]))

    monkeypatch.setattr(Wanted, "cut", cut)
