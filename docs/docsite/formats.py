"""A page of the file formats that are known by name, from ``fastjag.schemas``."""

from fastjag import schemas

INTRO = """# Formats and units

A file's format is recognised by its tree. Branches get the names of NanoAOD, and energies are in GeV, whatever
the file has. Files of other formats are read as well: their branches keep their names and their units.
[Reading files](reading.md) has the rules.

| format | tree | energies are multiplied by |
|---|---|---|
"""


def write(path):
    lines = [INTRO.rstrip("\n")]
    for schema in schemas.SCHEMAS:
        scaled = f"{schema.to_gev:g}" if schema.energies else "1: they are in GeV"
        lines.append(f"| {schema.name} | `{schema.tree}` | {scaled} |")
    for schema in schemas.SCHEMAS:
        lines += ["", f"## {schema.name}", ""]
        renamed = {
            **{f"{stored}*": f"{new}*" for stored, new in schema.prefixes.items() if stored != new},
            **schema.names,
        }
        if not renamed and not schema.fields:
            lines.append("Branches keep their names.")
            continue
        if renamed:
            lines += ["| branches in the file | names here |", "|---|---|"]
            lines += [f"| `{stored}` | `{new}` |" for stored, new in renamed.items()]
        if schema.fields:
            listed = ", ".join(f"`{stored}` is `{new}`" for stored, new in schema.fields.items())
            lines += ["", f"Columns of these collections: {listed}."]
        if schema.energies:
            listed = ", ".join(f"`{name}`" for name in schema.energies)
            lines += ["", f"These columns are energies, in every collection: {listed}."]
    path.write_text("\n".join(lines) + "\n")
