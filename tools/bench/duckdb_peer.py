"""The peer: DuckDB, with zones of declination in plain SQL.

DuckDB has no index on the sphere. Positions get a zone of declination, so that the join
of detections with objects is a hash join on zones (Gray, Szalay et al. 2006); the table
of detections is kept in the order of cells of a quarter of a degree, so that the row
groups that a cone cannot touch are skipped. Two threads, as we have.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import duckdb
import numpy as np
from numpy.typing import NDArray

__all__ = ["DuckDBPeer"]

_MEMORY = "8GB"
_ZONE_DEG = 2.0 / 3600.0
_XYZ = (
    "cos(radians(dec))*cos(radians(ra)) x, cos(radians(dec))*sin(radians(ra)) y, "
    f"sin(radians(dec)) z, cast(floor(dec/{_ZONE_DEG:.12f}) as bigint) zone"
)
_CHORD2 = "(e.x-o.x)**2 + (e.y-o.y)**2 + (e.z-o.z)**2"


class DuckDBPeer:
    """A database file of DuckDB, open.

    Parameters
    ----------
    path : Path
        The file; made if it is missing.
    threads : int
        Threads that it may use.
    """

    def __init__(self, path: Path, *, threads: int = 2) -> None:
        self.path = path
        self._con = duckdb.connect(str(path))
        self._con.execute(f"set threads={threads}")
        self._con.execute(f"set memory_limit='{_MEMORY}'")

    def load(self, files: Sequence[Path]) -> None:
        """Load exposures into the table ``det``, in sky order, durably."""
        self._con.execute(
            "create table det as select * from read_parquet($files) order by "
            "cast(floor(dec*4) as int), cast(floor(ra*4) as int), exp_id",
            {"files": [str(f) for f in files]},
        )
        self._con.execute("checkpoint")

    def associate(self, files: Sequence[Path], radius_deg: float) -> None:
        """Give detections their objects, exposure by exposure, durably.

        Parameters
        ----------
        files : sequence of Path
            Exposures, in order.
        radius_deg : float
            Match radius [deg]. A detection takes the nearest object that it can; what
            finds none becomes an object.
        """
        run = self._con.execute
        run("create table obj(id bigint, ra double, x double, y double, z double, zone bigint)")
        run("create table meas(det_id bigint, obj_id bigint)")
        limit2 = (2.0 * math.sin(math.radians(radius_deg) / 2.0)) ** 2
        reach = 1.1 * radius_deg
        n_objects = 0
        run("begin")
        for file in files:
            run(
                f"create or replace temp table e as select det_id, ra, {_XYZ} "
                f"from read_parquet('{file}')"
            )
            run(
                f"create or replace temp table m as select e.det_id, arg_min(o.id, {_CHORD2}) id "
                "from (select *, unnest([zone-1, zone, zone+1]) near from e) e "
                f"join obj o on o.zone = e.near and o.ra between e.ra-{reach} and e.ra+{reach} "
                f"where {_CHORD2} < {limit2} group by e.det_id"
            )
            run("insert into meas select * from m")
            run(
                f"create or replace temp table fresh as select e.*, {n_objects} + "
                "row_number() over () - 1 id from e anti join m using (det_id)"
            )
            run("insert into obj select id, ra, x, y, z, zone from fresh")
            run("insert into meas select det_id, id from fresh")
            n_objects = self._one("select count(*) from obj")
        run("commit")
        run("checkpoint")

    def _one(self, query: str) -> int:
        row = self._con.execute(query).fetchone()
        assert row is not None
        return int(row[0])

    def labels(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Object and true star of every detection."""
        found = self._con.execute(
            "select m.obj_id, d.obj_true from meas m join det d using (det_id)"
        ).fetchnumpy()
        return np.asarray(found["obj_id"]), np.asarray(found["obj_true"])

    def drop_association(self) -> None:
        """Leave the detections alone in the file."""
        self._con.execute("drop table if exists obj; drop table if exists meas; checkpoint")

    def cone(self, ra: float, dec: float, radius_deg: float) -> int:
        """Four columns of the detections in a circle, as NumPy arrays.

        Parameters
        ----------
        ra, dec : float
            Centre, ICRS [deg], away from the poles and from RA 0.
        radius_deg : float
            Radius [deg].

        Returns
        -------
        int
            Rows found.
        """
        half = radius_deg / math.cos(math.radians(abs(dec) + radius_deg))
        a, d = math.radians(ra), math.radians(dec)
        x, y, z = math.cos(d) * math.cos(a), math.cos(d) * math.sin(a), math.sin(d)
        found = self._con.execute(
            "select det_id, ra, dec, mag from det "
            f"where dec between {dec - radius_deg} and {dec + radius_deg} "
            f"and ra between {ra - half} and {ra + half} "
            f"and cos(radians(dec))*cos(radians(ra))*{x} + cos(radians(dec))*sin(radians(ra))*{y} "
            f"+ sin(radians(dec))*{z} > {math.cos(math.radians(radius_deg))}"
        ).fetchnumpy()
        return len(np.asarray(found["ra"]))

    def count_groups(self, query: str) -> int:
        """Rows in all groups of a query whose second result is the count."""
        return sum(int(row[1]) for row in self._con.execute(query).fetchall())

    def update_column(self) -> None:
        """Shift one column of all detections by an offset of their exposure, durably."""
        self._con.execute(
            "create or replace temp table z as select unnest(range(100)) e, 0.01 * random() dz"
        )
        self._con.execute("update det set mag = mag + z.dz from z where z.e = det.exp_id")
        self._con.execute("checkpoint")

    def close(self) -> None:
        """Close the file."""
        self._con.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
