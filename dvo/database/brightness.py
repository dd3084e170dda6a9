"""The part of the Python way in that asks how the brightness of objects changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from dvo.database.lightcurve import lightcurve_columns, read_lightcurve, read_period
from dvo.database.quantities import area_of, cone_of
from dvo.database.variability import VariabilityChoice, variability_tables
from dvo.partition.view import View

if TYPE_CHECKING:
    from dvo.database.quantities import Angle, Place, SkyArea
    from dvo.variability.period import Period

__all__ = ["BrightnessQueries"]


class BrightnessQueries:
    """Light curves, indices of variability and periods of the objects of a snapshot.

    `dvo.database.Database` is one of these.
    """

    view: View

    def lightcurve(
        self,
        ra: Place,
        dec: Angle | None = None,
        radius_arcsec: Angle | None = None,
        *,
        columns: Sequence[str] | None = None,
        kind: str = "psf",
    ) -> pa.Table:
        """Measures of the object nearest to a position, in order of time.

        Parameters
        ----------
        ra, dec : float or Quantity
            Position, ICRS [deg], or a SkyCoord, and then the radius.
        radius_arcsec : float or Quantity, optional
            How far the object may be [arcsec]; 1 if not given.
        columns : sequence of str, optional
            Columns and magnitude words of Measure; None for times (MJD), names of
            photcodes, calibrated magnitudes, positions, flags and what identifies them.
        kind : {'psf', 'ap', 'kron'}
            Which magnitudes there are if no columns are asked for: ``mag:rel`` and
            ``mag:err``, or ``mag:rel:ap`` and so on. They have the offset and the flat field of
            their image taken off.

        Returns
        -------
        pyarrow.Table
            The measures; empty if there is no object. The metadata of its schema say
            which object it is: cat_id, obj_id, ext_id, obj_ra and obj_dec [deg], and its
            distance from the position [arcsec].
        """
        area = cone_of(ra, dec, radius_arcsec, least_arcsec=1.0)
        return read_lightcurve(self.view, area, columns or lightcurve_columns(kind))

    def period(
        self,
        ra: Place,
        dec: Angle | None = None,
        radius_arcsec: Angle | None = None,
        *,
        filters: Sequence[str] | None = None,
        kind: str = "psf",
        shortest_d: float | None = None,
        longest_d: float | None = None,
    ) -> Period:
        """Period of the object nearest to a position, from all its filters together.

        Parameters
        ----------
        ra, dec : float or Quantity
            Position, ICRS [deg], or a SkyCoord, and then the radius.
        radius_arcsec : float or Quantity, optional
            How far the object may be [arcsec]; 1 if not given.
        filters : sequence of str, optional
            Average filters; None for all.
        kind : {'psf', 'ap', 'kron'}
            Which magnitudes.
        shortest_d, longest_d : float, optional
            Range that is searched [d]; 0.1 (less where all measures lie within two days), and
            the time from the first measure to the last.

        Returns
        -------
        Period
            The best period, its false-alarm probability, amplitudes and the periodogram.

        Raises
        ------
        QueryError
            If there is no object, it has too few measures, or the range is none.
        PhotcodeError
            If there is no such filter.

        Examples
        --------
        >>> with dvo.open("sky") as db:  # doctest: +SKIP
        ...     found = db.period(23.2017, 1.0299, filters=["g", "r"])
        """
        area = cone_of(ra, dec, radius_arcsec, least_arcsec=1.0)
        return read_period(
            self.view, area, kind, filters, shortest_d=shortest_d, longest_d=longest_d
        )

    def variability(
        self,
        *,
        area: SkyArea | None = None,
        filters: Sequence[str] | None = None,
        kind: str = "psf",
        least_measures: int = 5,
        window_s: float = 1800.0,
        with_masked: bool = True,
    ) -> pa.Table:
        """Indices of variability of objects, of each filter and of all together.

        Parameters
        ----------
        area : Area or tuple, optional
            Only objects in a `dvo.Cone` or `dvo.Box`, or in the circle (SkyCoord, radius) or
            (ra, dec, radius), the radius in arcseconds or a Quantity.
        filters : sequence of str, optional
            Average filters, such as ``["g", "r"]``; None for all.
        kind : {'psf', 'ap', 'kron'}
            Which magnitudes, all with the offset and flat field of their image.
        least_measures : int
            Measures that a filter needs; an object comes out if one filter has them.
        window_s : float
            Measures no further apart in time are pairs of Stetson's J [s].
        with_masked : bool
            Whether outliers that relphot masked count.

        Returns
        -------
        pyarrow.Table
            Ids and position of each object; ``n``, ``chi2`` (reduced), ``stetson_j`` and
            ``inv_eta`` of all filters; and the same with ``mean``, ``amplitude``,
            ``amplitude_90`` and ``amplitude_80`` [mag] of each, as ``g:chi2``. Null where a
            filter has too few measures.

        Raises
        ------
        PhotcodeError
            If there is no such filter.
        QueryError
            If an option is out of range.

        Examples
        --------
        >>> with dvo.open("sky") as db:  # doctest: +SKIP
        ...     stars = db.variability(filters=["g", "r"]).sort_by([("stetson_j", "descending")])
        """
        return pa.concat_tables(
            self.variability_tables(
                area=area, filters=filters, kind=kind, least_measures=least_measures,
                window_s=window_s, with_masked=with_masked,
            )
        )  # fmt: skip

    def variability_tables(
        self, *, area: SkyArea | None = None, filters: Sequence[str] | None = None, **options: Any
    ) -> Iterator[pa.Table]:
        """Make indices of variability as `variability` does, in pieces that fit into memory.

        Parameters
        ----------
        area : Area or tuple, optional
            Only objects in it.
        filters : sequence of str, optional
            Average filters; None for all.
        **options
            As for `variability`.

        Yields
        ------
        pyarrow.Table
            Objects that lie together on the sky.
        """
        choice = VariabilityChoice(None if filters is None else tuple(filters), **options)
        yield from variability_tables(self.view, area_of(area), choice)
