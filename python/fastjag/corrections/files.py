"""A file of corrections: JSON of correctionlib, schema 2, plain or compressed by gzip."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fastjag.core.checks import near_misses, needs
from fastjag.corrections.evaluation import Compound, Correction, Single


def read(path: str | os.PathLike[str]) -> Corrections:
    """The corrections of a file of correctionlib (schema 2), ``.json`` or ``.json.gz``.

    Whether it is compressed is seen by its first bytes, not by its name. Raises OSError where the file
    cannot be read, ValueError naming the file where it is not JSON of this schema.

    Examples
    --------
    >>> import json, tempfile, pathlib
    >>> from fastjag import corrections
    >>> edges = [0.0, 20.0, 50.0]
    >>> data = {"nodetype": "binning", "input": "pt", "edges": edges, "content": [0.9, 0.95],
    ...         "flow": "clamp"}
    >>> one = {"name": "id", "version": 1, "inputs": [{"name": "pt", "type": "real"}],
    ...        "output": {"name": "weight", "type": "real"}, "data": data}
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "muon.json"
    >>> _ = path.write_text(json.dumps({"schema_version": 2, "corrections": [one]}))
    >>> muons = {"pt": [10.0, 30.0, 70.0]}
    >>> sf = corrections.read(path)["id"]
    >>> sf(muons), sf.outside
    (array([0.9 , 0.95, 0.95]), {'pt above': 1})
    """
    needs("correctionlib", "corrections")
    raw = Path(path).read_bytes()
    try:
        text = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode()
        return Corrections(text, os.fspath(path))
    except (ValueError, EOFError, OSError) as error:
        if isinstance(error, ValueError) and str(error).startswith(os.fspath(path)):
            raise
        raise ValueError(f"{os.fspath(path)}: no corrections can be read ({error})") from None


class Corrections(Mapping[str, Correction]):
    """Corrections by name, single and compound ones. :func:`read` makes it of a file.

    It can be pickled and sent to workers; counts of entries outside stay where they were counted.
    """

    def __init__(self, text: str, name: str = "corrections"):
        import correctionlib

        self._text = text
        self.name = name  #: the file
        try:
            content = json.loads(text)
        except ValueError as error:
            raise ValueError(f"{name}: not JSON ({error})") from None
        version = content.get("schema_version") if isinstance(content, dict) else None
        if version != 2:
            raise ValueError(
                f"{name}: the schema of corrections must be version 2, got {version!r}"
            )
        try:
            self._set = correctionlib.CorrectionSet.from_string(text)
        except (RuntimeError, ValueError, TypeError) as error:
            raise ValueError(f"{name}: correctionlib cannot read it ({error})") from None
        self._made: dict[str, Correction] = {}
        single: dict[str, Any] = {c["name"]: c for c in content.get("corrections") or []}
        compound: dict[str, Any] = {c["name"]: c for c in content.get("compound_corrections") or []}
        if both := sorted(single.keys() & compound.keys()):
            raise ValueError(f"{name}: {both[0]!r} is the name of two corrections")
        self._single, self._compound = single, compound

    def __reduce__(self) -> tuple[Any, ...]:
        return Corrections, (self._text, self.name)

    def __getitem__(self, name: str) -> Correction:
        if name in self._made:
            return self._made[name]
        made: Correction
        if name in self._single:
            made = Single(self._set[name], self._single[name], self, name)
        elif name in self._compound:
            description = self._compound[name]
            parts = [self[part] for part in description["stack"]]
            made = Compound(self._set.compound[name], description, parts, self, name)
        else:
            raise KeyError(f"{self.name}: no correction {name!r}: {near_misses(name, list(self))}")
        return self._made.setdefault(name, made)

    def __iter__(self) -> Iterator[str]:
        return iter([*self._single, *self._compound])

    def __len__(self) -> int:
        return len(self._single) + len(self._compound)

    def __repr__(self) -> str:
        return f"<Corrections of {self.name}: {', '.join(self)}>"

    @property
    def outside(self) -> dict[str, dict[str, int]]:
        """Of every correction that was evaluated outside its range: how many entries, by input."""
        return {name: dict(c.outside) for name, c in self._made.items() if c.outside}
