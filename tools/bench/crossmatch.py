"""Cross-match of two databases, against k-d trees of SciPy and against LSDB.

Two catalogs of one field: nine tenths of the stars are in both, 0.2 arcsec apart an axis.
Ours reads two databases and gives a table of pairs with ids, positions and separations;
SciPy gets positions in memory and gives row numbers; LSDB reads two HATS catalogs of the
same rows, which our exports make, and gives a table.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import databases
import lsdb_peer
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from figures import Figure
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy_peer import unit_vectors
from stage import Stage
from timing import evict, median, pair_ratio, take_turns
from workload import FILTERS, SIZES, photcode_name, star_positions

import dvo
from dvo.database import Database
from dvo.partition.store import Store

__all__ = ["measure"]

Array = NDArray[Any]

_RADIUS_ARCSEC = 1.0
_SCATTER_DEG = 0.2 / 3600.0
_SEED = 20200908
_COLUMNS = ["cat_id", "obj_id", "ext_id", "ra", "dec"]


def measure(stage: Stage) -> list[Figure]:
    """Measure every size.

    Parameters
    ----------
    stage : Stage
        Where to run.

    Returns
    -------
    list of Figure
        Seconds of a match, opening included, and beside it with decoded columns and with
        files from the disk; the ratio to LSDB, which is skipped where it is not installed.
    """
    stage.warm_up()
    figures = []
    for size in stage.sizes:
        places = _two_catalogs(SIZES[size])
        catdirs = [_made(stage, size, name, *p) for name, p in zip("ab", places, strict=True)]
        figures += _against_scipy(size, catdirs, places)
        figures.append(_against_lsdb(stage, size, catdirs))
    return figures


def _two_catalogs(n: int) -> list[tuple[Array, Array]]:
    """Positions of two catalogs of n stars each [deg]."""
    rng = np.random.default_rng(_SEED)
    ra, dec = star_positions(n, rng)
    seen = rng.permutation(n)[: n - n // 10]
    dec2 = dec[seen] + rng.normal(0.0, _SCATTER_DEG, len(seen))
    ra2 = ra[seen] + rng.normal(0.0, _SCATTER_DEG, len(seen)) / np.cos(np.radians(dec2))
    more_ra, more_dec = star_positions(n - len(seen), rng)
    order = rng.permutation(n)
    both = np.concatenate([ra2, more_ra])[order], np.concatenate([dec2, more_dec])[order]
    return [(ra, dec), both]


def _made(stage: Stage, size: str, name: str, ra: Array, dec: Array) -> Path:
    """A compacted database of one exposure that sees every star once."""
    catdir = stage.scratch / f"match-{size}-{name}.catdir"
    listing = stage.scratch / f"match-{size}-{name}.csv"
    file = listing.with_suffix(".parquet")
    n = len(ra)
    columns = {"ra": ra, "dec": dec, "mag": np.full(n, 20.0, "f4")}
    columns |= {name: np.zeros(n, "f4") for name in ("magerr", "x", "y")}
    columns["flags"] = np.zeros(n, "i4")
    pq.write_table(pa.table(columns), file)
    listing.write_text(
        "file,name,photcode,mjd,exptime,airmass\n"
        f"{file.name},{name},{photcode_name(FILTERS.index('g'))},55000.0,30,1.1\n"
    )
    with Store(databases.create(catdir), writable=True) as store:
        databases.add_files(store, [listing])
    databases.compact(catdir)
    return catdir


def _against_scipy(
    size: str, catdirs: list[Path], places: list[tuple[Array, Array]]
) -> list[Figure]:
    found: dict[str, int] = {}
    with dvo.open(catdirs[0]) as one, dvo.open(catdirs[1]) as two:

        def decoded() -> None:
            found["ours"] = _matched(one, two)

        def peer() -> None:
            found["peer"] = _tree_matched(*places)

        def opened() -> None:
            _open_and_match(catdirs)

        steps = {"decoded": decoded, "opened": opened, "cold": opened, "peer": peer}
        decoded()
        seconds = take_turns(steps, 5, before={"cold": lambda: evict(*catdirs)})
    note = f"pairs: ours {found['ours']}, peer {found['peer']}"
    return [
        Figure(
            key, what, size, median(seconds[how]), "s", f"{median(seconds[how]):.3f} s",
            f"{median(seconds['peer']):.3f} s", note, {"seconds": seconds},
        )
        for key, what, how in (
            ("match_seconds", "cross-match of two databases, opened anew, vs cKDTree", "opened"),
            ("match_decoded", "the same, columns decoded already", "decoded"),
            ("match_cold", "the same, all from the disk", "cold"),
        )
    ]  # fmt: skip


def _open_and_match(catdirs: list[Path]) -> int:
    with dvo.open(catdirs[0]) as one, dvo.open(catdirs[1]) as two:
        return _matched(one, two)


def _matched(one: Database, two: Database) -> int:
    return one.match(two, _RADIUS_ARCSEC).num_rows


def _tree_matched(one: tuple[Array, Array], two: tuple[Array, Array]) -> int:
    tree = cKDTree(unit_vectors(*one), balanced_tree=False, compact_nodes=False)
    chord = 2.0 * np.sin(np.radians(_RADIUS_ARCSEC / 3600.0) / 2.0)
    _, row = tree.query(unit_vectors(*two), distance_upper_bound=chord, workers=2)
    return int((row < len(one[0])).sum())


def _against_lsdb(stage: Stage, size: str, catdirs: list[Path]) -> Figure:
    what = "cross-match of two databases, vs LSDB"
    if not lsdb_peer.is_there():
        return Figure("match_lsdb", what, size, float("nan"), "x faster", note=lsdb_peer.ABSENT)
    hats = [
        lsdb_peer.exported(catdir, stage.scratch / f"{catdir.stem}.hats", "average", _COLUMNS)
        for catdir in catdirs
    ]
    counts: dict[str, int] = {}
    with lsdb_peer.LsdbPeer() as lsdb:

        def ours() -> None:
            counts["ours"] = _open_and_match(catdirs)

        def peer() -> None:
            counts["peer"] = int(lsdb.ask("crossmatch", *hats, _RADIUS_ARCSEC)["rows"])

        peer()
        seconds = take_turns({"ours": ours, "peer": peer}, 3)
    return Figure(
        "match_lsdb", what, size, pair_ratio(seconds["peer"], seconds["ours"]), "x faster",
        f"{median(seconds['ours']):.3f} s", f"{median(seconds['peer']):.3f} s",
        f"pairs: ours {counts['ours']}, peer {counts['peer']}", {"seconds": seconds},
    )  # fmt: skip
