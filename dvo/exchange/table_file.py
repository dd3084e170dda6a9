"""A table in one file: Parquet, FITS, VOTable or CSV, written region by region."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from dvo.database.arrow import OutputColumn
from dvo.errors import ConfigError
from dvo.exchange.extract import Extract, Values
from dvo.exchange.fits_table import FitsFile
from dvo.exchange.new_path import new_file
from dvo.exchange.parquet import ParquetFile
from dvo.exchange.report import ExportReport, Progress
from dvo.exchange.text import TextFile
from dvo.exchange.votable import VotableFile

__all__ = ["KINDS", "TableWriter", "export_file"]


class TableWriter(Protocol):
    """A file that takes rows."""

    def write(self, values: Values) -> None:
        """Append rows."""
        ...


Opener = Callable[[Path, Sequence[OutputColumn], str], AbstractContextManager[TableWriter]]


def _csv(path: Path, columns: Sequence[OutputColumn], _about: str) -> TextFile:
    return TextFile(path, columns, None)


KINDS: dict[str, Opener] = {
    "parquet": ParquetFile,
    "fits": FitsFile,
    "votable": VotableFile,
    "csv": _csv,
    "ecsv": TextFile,
}
"""Forms of a table in one file."""


def export_file(
    extract: Extract,
    kind: str,
    target: Path,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> ExportReport:
    """Write an extract into one file.

    Parameters
    ----------
    extract : Extract
        What goes out.
    kind : str
        One of `KINDS`.
    target : Path
        The file; it appears when it is whole.
    overwrite : bool
        Whether it may replace a file.
    progress : callable, optional
        Called with the report so far, after each group of regions.

    Returns
    -------
    ExportReport
        What was written.

    Raises
    ------
    ConfigError
        If there is no such form.
    StorageError
        If the target exists and may not be replaced, or cannot be written.
    """
    if kind not in KINDS:
        raise ConfigError(f"no form {kind!r}; there are {', '.join(KINDS)}")
    report = ExportReport(kind, extract.table, str(target))
    began = time.perf_counter()
    with new_file(target, overwrite=overwrite) as beside:
        about = report.about(extract.view)
        with (
            KINDS[kind](beside, extract.columns, about) as out,
            ThreadPoolExecutor(1, thread_name_prefix="dvo-export") as pool,
        ):
            # The next rows are read while the last ones are packed and written.
            writing: Future[None] | None = None
            for group in extract.groups():
                values = extract.read(group)
                if writing is not None:
                    writing.result()
                writing = pool.submit(out.write, values)
                report.rows += len(values[extract.columns[0].name])
                report.seconds = time.perf_counter() - began
                if progress is not None:
                    progress(report)
            if writing is not None:
                writing.result()
        report.bytes = beside.stat().st_size
    report.seconds = time.perf_counter() - began
    return report
