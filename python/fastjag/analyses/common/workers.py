"""What configurations say of who works through files: no result depends on it."""

from __future__ import annotations

from fastjag.core.settings import File, setting, settings


@settings
class WorkersSection:
    """Who works through the files, in a configuration. No result depends on it."""

    executor: str | None = setting(
        "Where files are read: `none` (here), `processes:N`, `dask:ADDRESS` or `slurm:OPTIONS.toml`; by default "
        "that of the command.",
        default=None, none=False, least=1,
    )  # fmt: skip
    keep: File | None = setting(
        "Folder for results of finished pieces of work: the same command goes on from there.",
        default=None,
    )
