"""``dvo variability``: how much, and how, the brightness of objects changes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dvo.cli.name_list import names_in
from dvo.cli.output import Output, format_option, output_option
from dvo.cli.selection_options import area_of, area_options
from dvo.cli.snapshot_option import snapshot_option
from dvo.counted import counted

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["variability"]


@click.command()
@click.argument("catdir", type=click.Path(path_type=Path))
@click.option("--filters", metavar="F,F,…", help="Average filters, such as g,r; all if not given.")
@area_options
@click.option(
    "--kind",
    type=click.Choice(["psf", "ap", "kron"]),
    default="psf",
    show_default=True,
    help="Which magnitudes.",
)
@click.option(
    "--least-measures",
    type=click.IntRange(2),
    default=5,
    show_default=True,
    help="Measures that a filter needs.",
)
@click.option(
    "--window",
    type=click.FloatRange(0),
    default=30.0,
    show_default=True,
    metavar="MINUTES",
    help="Measures no further apart in time are pairs of Stetson's J.",
)
@click.option("--no-masked", is_flag=True, help="Leave out what relphot masked as an outlier.")
@click.option("--least-j", type=float, help="Only objects whose Stetson J (all filters) is above.")
@click.option("--json", "as_json", is_flag=True, help="The same as -f json.")
@snapshot_option
@format_option
@output_option
def variability(
    catdir: Path,
    *,
    filters: str | None,
    kind: str,
    least_measures: int,
    window: float,
    no_masked: bool,
    least_j: float | None,
    as_json: bool,
    snapshot: int | str | datetime | None,
    form: str | None,
    output: Path | None,
    **asked: Any,
) -> None:
    """Make indices of variability of the objects of CATDIR from calibrated magnitudes.

    Columns of all filters together are n, chi2 (reduced), stetson_j (Stetson 1996) and inv_eta
    (1 over von Neumann's ratio); of each filter the same, with mean, amplitude (faintest less
    brightest), amplitude_90 and amplitude_80 (percentiles 95 less 5, 90 less 10), as g:chi2.
    Measures of the best rank that an object has in a filter count, as for its mean.

    \b
    Examples:
      dvo variability sky --filters g,r -o variability.parquet
      dvo variability sky --cone 56.75 24.12 600 --least-j 1
    """
    import dvo  # noqa: PLC0415 - keeps `dvo --help` quick

    if as_json and form not in (None, "json"):
        raise click.UsageError(f"--json and -f {form} exclude each other")
    out = Output.choose("json" if as_json else form, output)
    names = list(names_in(filters)) if filters else None
    area = area_of(asked)
    with dvo.open(catdir, snapshot=snapshot) as db:
        pieces = _chosen(
            db.variability_tables(
                area=area, filters=names, kind=kind, least_measures=least_measures,
                window_s=60.0 * window, with_masked=not no_masked,
            ),
            least_j,
        )  # fmt: skip
        if out.is_piecemeal:
            out.write_pieces(pieces)
            return
        import pyarrow as pa  # noqa: PLC0415

        found = pa.concat_tables(pieces)
    out.write(found, heading=[counted(found.num_rows, "objects")])


def _chosen(pieces: Iterator[pa.Table], least_j: float | None) -> Iterator[pa.Table]:
    import pyarrow.compute as pc  # noqa: PLC0415 - keeps `dvo --help` quick

    for piece in pieces:
        yield piece if least_j is None else piece.filter(pc.field("stetson_j") > least_j)
