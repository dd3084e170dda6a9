"""Queries of images: over which places they are, and their astrometry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from dvo.database.arrow import to_arrow
from dvo.database.fields import resolve
from dvo.database.image_wcs import find_image, image_wcs
from dvo.database.overlaps import images_over, outline_of
from dvo.database.quantities import area_of
from dvo.errors import QueryError
from dvo.partition.bounds import Cone
from dvo.partition.manifest import ALL_SKY
from dvo.partition.polygon import Polygon
from dvo.partition.view import View
from dvo.tables.fits.header import format_cards
from dvo.tables.image import IMAGE

if TYPE_CHECKING:
    from dvo.database.quantities import SkyArea

__all__ = ["ImageQueries"]


class ImageQueries:
    """Overlaps and astrometry of the images of a snapshot.

    `dvo.database.Database` is one of these.
    """

    view: View

    def overlaps(
        self, area: SkyArea | Polygon | int | str, columns: Sequence[str] | None = None
    ) -> pa.Table:
        """Images that have any part in an area, by their astrometry.

        Parameters
        ----------
        area : Cone, Polygon, tuple, int or str
            The area: a circle, or what makes one, of radius 0 for a place; a polygon; or an
            image, by number or name, whose outline it is.
        columns : sequence of str, optional
            Columns of images, ``x`` and ``y``, the pixels of the middle of the area, and
            ``distance`` from there to the centre of the image [arcsec]; None for all but that.

        Returns
        -------
        pyarrow.Table
            Rows of Image; an image without astrometry counts as the circle that holds its
            measures, and has no pixels.

        Raises
        ------
        QueryError
            If it is no area, or an image without outline.
        """
        where = self._area(area)
        middle = where if isinstance(where, Cone) else where.cone
        wanted = None if columns is None else [c for c in columns if c not in ("x", "y")]
        request = resolve(self.view.photcodes, IMAGE, wanted, (middle.ra, middle.dec))
        images, *pixels = images_over(self.view, where, request.stored)
        found = to_arrow(request.outputs, request.values(self.view, ALL_SKY, images))
        for name, values in zip(("x", "y"), pixels, strict=True):
            if columns is None or name in columns:
                like = pa.field(name, pa.float64(), metadata={"unit": "pixel"})
                found = found.append_column(like, pa.array(values, pa.float64(), from_pandas=True))
        return found if columns is None else found.select(list(columns))

    def wcs(self, image: int | str, *, form: str = "sip", limit_mas: float = 1.0) -> Any:
        """Astrometry of an image, for astropy.

        Parameters
        ----------
        image : int or str
            Its number or name.
        form : {'sip', 'tpv'}
            How distortions are written.
        limit_mas : float
            Greatest error that is allowed on the image [mas].

        Returns
        -------
        astropy.wcs.WCS
            From pixels, the first of which is 1 in FITS and 0 in NumPy, to ICRS.

        Raises
        ------
        QueryError
            If there is no such image, or there are several.
        AstrometryError
            If it has no astrometry, or it cannot be written as well as that.
        """
        # A quarter of a second of imports.
        from astropy.io import fits  # noqa: PLC0415
        from astropy.wcs import WCS  # noqa: PLC0415

        found = find_image(self.view, image)
        cards = image_wcs(found, form=form, limit_mas=limit_mas).cards
        wcs = WCS(fits.Header.fromstring("".join(format_cards(cards))))
        wcs.pixel_shape = (found.nx, found.ny)
        return wcs

    def _area(self, given: Any) -> Cone | Polygon:
        if isinstance(given, int | str | np.integer):
            image = find_image(self.view, given if isinstance(given, str) else int(given))
            polygon = outline_of(self.view, image.image_id)
            if polygon is None:
                raise QueryError(
                    f"image {image.image_id} ({image.name}) has no astrometry on all of it, or no "
                    "size; give a place, a circle or a polygon"
                )
            return polygon
        area = given if isinstance(given, Polygon) else area_of(given)
        if not isinstance(area, Cone | Polygon):
            raise QueryError(f"{area!r} is no circle or polygon; give one, or the name of an image")
        return area
