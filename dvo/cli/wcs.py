"""``dvo wcs``: the astrometry of an image as a FITS header."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dvo.cli.snapshot_option import snapshot_option
from dvo.errors import StorageError

if TYPE_CHECKING:
    from dvo.astrometry.fits_wcs import Card

__all__ = ["wcs"]


@click.command()
@click.argument("catdir", type=click.Path(path_type=Path))
@click.argument("image")
@click.option(
    "--form",
    type=click.Choice(["sip", "tpv", "psastro"]),
    default="sip",
    show_default=True,
    help="How distortions are written.",
)
@click.option(
    "--limit",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    metavar="MAS",
    help="Greatest error that is allowed anywhere on the image.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="File to write: FITS without data if it ends in .fits, else lines of text.",
)
@click.option("--overwrite", is_flag=True, help="Replace the file if it exists.")
@snapshot_option
@click.option("--json", "as_json", is_flag=True, help="Print the keywords as JSON.")
def wcs(
    catdir: Path,
    image: str,
    *,
    form: str,
    limit: float,
    output: Path | None,
    overwrite: bool,
    snapshot: int | str | datetime | None,
    as_json: bool,
) -> None:
    """Write the astrometry of an IMAGE of CATDIR, by its name or number, as a FITS header.

    SIP and TPV are polynomials of the lowest order that is good to a microarcsecond on the whole
    image; an image without distortions is a plain TAN. FITERR is the greatest error [mas].
    psastro is the exact form of the database: WRP for a chip, after DIS for its focal plane.

    \b
    Examples:
      dvo wcs sky o5512g0017o.XY33
      dvo wcs sky 17 --form tpv -o chip.fits
    """
    from dvo.database.image_wcs import find_image, image_keywords, image_wcs  # noqa: PLC0415
    from dvo.partition.store import Store  # noqa: PLC0415

    with Store(catdir) as store:
        found = find_image(store.view(snapshot), image)
    facts: dict[str, Any] = {"image_id": found.image_id, "name": found.name,
                             "nx": found.nx, "ny": found.ny}  # fmt: skip
    headers: list[tuple[Card, ...]] = []
    if form == "psastro":
        own, plane = image_keywords(found)
        facts |= {"form": form, "cards": _plain(own)}
        if plane is not None:
            facts["focal_plane"] = _plain(plane)
            headers.append(plane)
        headers.append(own)
    else:
        made = image_wcs(found, form=form, limit_mas=limit)
        facts |= {
            "form": made.form, "order": made.order, "error_mas": made.error_mas,
            "inverse_error_pix": made.inverse_error_pix, "cards": _plain(made.cards),
        }  # fmt: skip
        headers.append(made.cards)
    if output is not None:
        _write(output, headers, overwrite=overwrite)
        click.echo(f"wrote {output}", err=True)
    if as_json:
        click.echo(json.dumps(facts))
    elif output is None:
        click.echo(_text(headers), nl=False)


def _plain(cards: Sequence[Card]) -> dict[str, Any]:
    return {key: value for key, (value, _) in cards}


def _text(headers: Sequence[tuple[Card, ...]]) -> str:
    from dvo.tables.fits.header import format_cards  # noqa: PLC0415 - keeps `dvo --help` quick

    return "".join(
        "".join(card.rstrip() + "\n" for card in [*format_cards(cards), "END"]) for cards in headers
    )


def _write(path: Path, headers: Sequence[tuple[Card, ...]], *, overwrite: bool) -> None:
    from dvo.tables.fits.header import format_cards, header_bytes  # noqa: PLC0415

    if path.suffix.lower() == ".fits":
        start: list[tuple[str, object]] = [("SIMPLE", True), ("BITPIX", 8), ("NAXIS", 0)]
        data = b""
        for cards in headers:
            data += header_bytes(format_cards([*start, *cards]))
            start = [("XTENSION", "IMAGE"), ("BITPIX", 8), ("NAXIS", 0), ("PCOUNT", 0),
                     ("GCOUNT", 1)]  # fmt: skip
    else:
        data = _text(headers).encode("ascii")
    try:
        with path.open("wb" if overwrite else "xb") as file:
            file.write(data)
    except FileExistsError as error:
        raise StorageError(f"{path} exists; give another name or --overwrite") from error
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror}") from error
