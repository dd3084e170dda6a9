"""The report of a calibration: report.json, pictures, and one page that holds all of it."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from dvo.calib.report.figures import FIGURES, ImagePoints, Picture
from dvo.calib.report.tally import MAG_EDGES, ResidualTally
from dvo.errors import StorageError

__all__ = ["check_report_folder", "filter_figures", "write_report"]

_BRIGHT_MEASURES = 100
_STYLE = """
body { font: 16px/1.5 sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem;
       color: #222 }
h1 { font-size: 1.6rem } h2 { font-size: 1.2rem; margin-top: 2.2rem }
img { max-width: 100%; height: auto; border: 1px solid #ddd }
table { border-collapse: collapse; margin: 1rem 0 }
td, th { padding: .2rem .8rem; text-align: right; border-bottom: 1px solid #ddd }
td:first-child, th:first-child { text-align: left }
p.caption { color: #555 }
"""


def check_report_folder(folder: Path) -> None:
    """Make the folder of a report, before any work is done for it.

    Parameters
    ----------
    folder : Path
        The folder; one that is there may hold an older report, which is replaced.

    Raises
    ------
    StorageError
        If it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise StorageError(f"{folder}: cannot be made a folder for the report "
                           f"({err.strerror or err}); name another") from err  # fmt: skip


def filter_figures(tally: ResidualTally, images: ImagePoints) -> list[dict[str, Any]]:
    """Sum up each filter.

    Parameters
    ----------
    tally : ResidualTally
        The residuals.
    images : ImagePoints
        The zero points.

    Returns
    -------
    list of dict
        Of each filter: counts; median and scatter of the zero points [mag]; scatter of
        residuals, and the least in half a magnitude of those with 100 measures or more
        (``floor``) [mag]; width of the pulls; and repeatability by magnitude. Null where there is
        nothing.
    """
    scatter, stated, n = tally.scatter()
    whole, widths = tally.robust_scatter(), tally.pull_widths()
    out = []
    for band, name in enumerate(tally.filters):
        mine = images.offset[(images.band == band) & np.isfinite(images.offset)]
        middle = float(np.median(mine)) if len(mine) else np.nan
        spread = 1.4826 * float(np.median(np.abs(mine - middle))) if len(mine) else np.nan
        many = n[band] >= _BRIGHT_MEASURES
        rows = np.flatnonzero(n[band])
        out.append({
            "filter": name,
            "n_images": len(mine),
            "n_measures": int(tally.n_measures[band]),
            "zero_point_median": _number(middle),
            "zero_point_scatter": _number(spread),
            "residual_scatter": _number(whole[band]),
            "floor": _number(scatter[band, many].min() if many.any() else np.nan),
            "pull_width": _number(widths[band]),
            "repeatability": [
                {"mag": [float(MAG_EDGES[k]), float(MAG_EDGES[k + 1])], "n": int(n[band, k]),
                 "scatter": _number(scatter[band, k]), "stated": _number(stated[band, k])}
                for k in rows
            ],
        })  # fmt: skip
    return out


def write_report(
    folder: Path,
    title: str,
    facts: Mapping[str, Any],
    tally: ResidualTally,
    images: ImagePoints,
    *,
    captions: Mapping[str, str] = MappingProxyType({}),
    more: Sequence[Picture] = (),
) -> None:
    """Write ``report.json``, a PNG file a picture, and ``index.html`` with all of them inside.

    Parameters
    ----------
    folder : Path
        Where; see `check_report_folder`.
    title : str
        Heading of the page.
    facts : mapping
        What the calibration did, for JSON.
    tally : ResidualTally
        The residuals.
    images : ImagePoints
        The zero points.
    captions : mapping of str to str
        What is to be said of pictures in place of their own words, by their names.
    more : sequence of Picture
        Other pictures, which come first.

    Raises
    ------
    StorageError
        If a file cannot be written.
    """
    filters = filter_figures(tally, images)
    said = {**facts, "filters": filters}
    try:
        (folder / "report.json").write_text(json.dumps(said, indent=1) + "\n")
        parts = [_facts_table(facts), _filters_table(filters)]
        for picture in (*more, *FIGURES):
            figure = picture.draw(tally, images)
            path = folder / f"{picture.name}.png"
            if figure is None:
                path.unlink(missing_ok=True)
                continue
            figure.savefig(path, dpi=110)
            inside = base64.b64encode(path.read_bytes()).decode()
            parts.append(
                f"<h2>{html.escape(picture.title)}</h2>\n"
                f'<img alt="{html.escape(picture.title)}" src="data:image/png;base64,{inside}">\n'
                f'<p class="caption">{html.escape(captions.get(picture.name, picture.caption))}</p>'
            )
        (folder / "index.html").write_text(_page(title, parts))
    except OSError as err:
        raise StorageError(f"{folder}: the report cannot be written "
                           f"({err.strerror or err})") from err  # fmt: skip


def _page(title: str, parts: list[str]) -> str:
    name = html.escape(title)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{name}</title>\n"
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{name}</h1>\n" + "\n".join(parts)
        + "\n</body>\n</html>\n"
    )  # fmt: skip


def _facts_table(facts: Mapping[str, Any]) -> str:
    rows = [(k, v) for k, v in facts.items() if isinstance(v, int | float | str) or v is None]
    lines = [f"<tr><td>{html.escape(k)}</td><td>{html.escape(_shown(v))}</td></tr>"
             for k, v in rows]  # fmt: skip
    return "<table>\n" + "\n".join(lines) + "\n</table>"


_HEADINGS = ("filter", "images", "measures", "zero point: median [mag]", "scatter [mmag]",
             "residuals: scatter [mmag]", "bright stars [mmag]", "pulls: width")  # fmt: skip


def _filters_table(filters: list[dict[str, Any]]) -> str:
    def mmag(value: float | None) -> str:
        return "" if value is None else f"{1e3 * value:.2f}"

    lines = ["<tr>" + "".join(f"<th>{h}</th>" for h in _HEADINGS) + "</tr>"]
    for row in filters:
        cells = (row["filter"], str(row["n_images"]), str(row["n_measures"]),
                 _shown(row["zero_point_median"]), mmag(row["zero_point_scatter"]),
                 mmag(row["residual_scatter"]), mmag(row["floor"]),
                 _shown(row["pull_width"]))  # fmt: skip
        lines.append("<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in cells) + "</tr>")
    return "<table>\n" + "\n".join(lines) + "\n</table>"


def _shown(value: object) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
