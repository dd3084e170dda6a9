"""What the fields of the original's extract words are in SQL.

A field is looked for among the original's names (case does not count), then among the columns
of the table, then as a magnitude word. Fields of other tables bring the join that they need.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from dvo.database.fields import resolve
from dvo.errors import QueryError, UnknownColumnError
from dvo.shell.suggestion import did_you_mean
from dvo.tables.average import AVERAGE
from dvo.tables.image import IMAGE
from dvo.tables.measure import MEASURE
from dvo.tables.photcode import PHOTCODE, PhotcodeTable
from dvo.tables.starpar import STARPAR

__all__ = ["TABLES", "Fields", "field_names"]

_SCHEMAS = {"a": AVERAGE, "m": MEASURE, "i": IMAGE, "p": PHOTCODE, "s": STARPAR}
_NAMES = {"a": "average", "m": "measure", "i": "image", "p": "photcode", "s": "starpar"}
TABLES = {"average": "a", "measure": "m", "image": "i"}
"""Tables that are extracted from, and what they are called in the queries."""

# Rotations of ICRS [deg]: right ascension and declination of the pole, and the longitude of the
# celestial pole. Galactic: Hipparcos (ESA SP-1200, section 1.5.3); ecliptic: obliquity of J2000.
_GALACTIC = (192.85948, 27.12825, 122.93192)
_ECLIPTIC = (270.0, 66.5607088888889, 90.0)


def _latitude(system: tuple[float, float, float], ra: str, dec: str) -> str:
    pole_ra, pole_dec, _ = system
    return (
        f"DEGREES(ASIN(SIN(RADIANS({dec})) * SIN(RADIANS({pole_dec})) + COS(RADIANS({dec})) * "
        f"COS(RADIANS({pole_dec})) * COS(RADIANS({ra} - {pole_ra}))))"
    )


def _longitude(system: tuple[float, float, float], ra: str, dec: str) -> str:
    pole_ra, pole_dec, of_pole = system
    y = f"COS(RADIANS({dec})) * SIN(RADIANS({ra} - {pole_ra}))"
    x = (
        f"SIN(RADIANS({dec})) * COS(RADIANS({pole_dec})) - COS(RADIANS({dec})) * "
        f"SIN(RADIANS({pole_dec})) * COS(RADIANS({ra} - {pole_ra}))"
    )
    return f"MOD({of_pole} - DEGREES(ATAN2({y}, {x})) + 720.0, 360.0)"


def _places(ra: str, dec: str) -> dict[str, str]:
    return {
        "glon": _longitude(_GALACTIC, ra, dec),
        "glat": _latitude(_GALACTIC, ra, dec),
        "elon": _longitude(_ECLIPTIC, ra, dec),
        "elat": _latitude(_ECLIPTIC, ra, dec),
    }


# Alias and column, or an expression in which columns stand with their aliases.
_AVERAGE = {
    "dra": "a.ra_err", "ddec": "a.dec_err", "ura": "a.u_ra", "udec": "a.u_dec",
    "dura": "a.u_ra_err", "dudec": "a.u_dec_err", "dpar": "a.par_err", "chisqpos": "a.chisq_pos",
    "chisqpm": "a.chisq_pm", "chisqpar": "a.chisq_par", "tmean": "a.mean_epoch",
    "trange": "a.time_range", "psfqf": "a.psf_qf", "psfqfperf": "a.psf_qf_perfect",
    "stargal": "a.stargal_sep", "nmeas": "a.nmeasure", "nmiss": "a.nmissing",
    "npos": "a.number_pos", "nastrom": "a.number_pos", "objflags": "a.flags",
    "obj_flags": "a.flags", "objid": "a.obj_id", "catid": "a.cat_id", "extid": "a.ext_id",
    "extid_hi": "a.ext_id >> 32", "extid_lo": "a.ext_id & 4294967295",
    "photflags_hi": "a.photflags_u", "photflags_lo": "a.photflags_l", "e_bv": "s.e_bv",
    "d_m": "s.distance_mod", "m_r": "s.m_r_abs", "feh": "s.f_e_h", **_places("a.ra", "a.dec"),
}  # fmt: skip
_MEASURE = {
    "dr": "(m.ra - a.ra) * 3600.0", "dd": "(m.dec - a.dec) * 3600.0", "dr:err": "m.ra_err",
    "dd:err": "m.dec_err", "exptime": "POWER(10.0, 0.4 * m.m_time)", "time": "m.mjd",
    "fwhm": "(m.fwhm_major + m.fwhm_minor) / 2.0", "fwhm_maj": "m.fwhm_major",
    "fwhm_min": "m.fwhm_minor", "theta": "m.psf_theta", "platescale": "m.pltscale",
    "xccd": "m.x_ccd", "yccd": "m.y_ccd", "xfix": "m.x_fix", "yfix": "m.y_fix",
    "xoff_kh": "m.x_off_kh", "yoff_kh": "m.y_off_kh", "xoff_dcr": "m.x_off_dcr",
    "yoff_dcr": "m.y_off_dcr", "xoff_cam": "m.x_off_cam", "yoff_cam": "m.y_off_cam",
    "detid": "m.det_id", "objid": "m.obj_id", "catid": "m.cat_id", "imageid": "m.image_id",
    "externid": "i.extern_id", "image_extern_id": "i.extern_id", "expname": "i.name",
    "extid": "m.ext_id", "sky": "m.sky_flux", "dsky": "m.sky_flux_err", "mcal_offset": "m.m_cal",
    "flat": "m.m_flat", "dbflags": "m.db_flags", "photflags": "m.phot_flags",
    "obj_flags": "a.flags", "mean_airmass": "i.secz", "photcode:klam": "p.k",
    "photcode:c": "p.c_lam", "photcode:equiv": "p.equiv", **_places("m.ra", "m.dec"),
}  # fmt: skip
_IMAGE = {
    "ra": "i.ra_center", "dec": "i.dec_center", "time": "i.mjd", "mcal": "i.mcal_psf",
    "airmass": "i.secz", "imageid": "i.image_id", "externid": "i.extern_id",
    "sourceid": "i.source_id", "parentid": "i.parent_id", "expname": "i.name",
    "fwhm": "(i.fwhm_x + i.fwhm_y) / 2.0", "detlim": "i.detection_limit",
    "satlim": "i.saturation_limit", **_places("i.ra_center", "i.dec_center"),
}  # fmt: skip
_KNOWN = {"a": _AVERAGE, "m": _MEASURE, "i": _IMAGE}
_JOINS = {
    ("m", "a"): "JOIN average AS a ON a.cat_id = m.cat_id AND a.obj_id = m.obj_id",
    ("m", "i"): "LEFT JOIN image AS i ON i.image_id = m.image_id",
    ("m", "p"): "LEFT JOIN photcode AS p ON p.code = m.photcode",
    ("a", "s"): "LEFT JOIN starpar AS s ON s.cat_id = a.cat_id AND s.obj_id = a.obj_id",
}


def field_names(table: str) -> list[str]:
    """List the names that fields of a table have: the original's, and its columns.

    Parameters
    ----------
    table : {'average', 'measure', 'image'}
        The table.

    Returns
    -------
    list of str
        The names; magnitude words come besides.
    """
    alias = TABLES[table]
    return list(dict.fromkeys([*_KNOWN[alias], *_SCHEMAS[alias].names]))


@dataclass
class Fields:
    """The fields of one extract word.

    Parameters
    ----------
    table : {'average', 'measure', 'image'}
        What is extracted from.
    photcodes : PhotcodeTable
        The photcodes, for magnitude words.
    joined : list of str
        Tables that fields came from besides.
    """

    table: str
    photcodes: PhotcodeTable
    joined: list[str] = field(default_factory=list)

    @property
    def alias(self) -> str:
        """What the table is called in the query."""
        return TABLES[self.table]

    def sql(self, name: str) -> str:
        """Write a field in SQL.

        Parameters
        ----------
        name : str
            The field.

        Returns
        -------
        str
            A column or an expression.

        Raises
        ------
        UnknownColumnError
            If there is no such field.
        """
        lower = name.lower()
        if self.alias == "m" and lower.endswith(":ave") and lower[:-4] in _of_average():
            return self._noted(_AVERAGE.get(lower[:-4], f"a.{lower[:-4]}"))
        known = _KNOWN[self.alias].get(lower)
        if known is not None:
            return self._noted(known)
        return self._column(name)

    def _column(self, name: str) -> str:
        schema = _SCHEMAS[self.alias]
        lower = name.lower()
        if lower in schema:
            return f"{self.alias}.{lower}"
        if lower == "distance":
            raise UnknownColumnError("a distance needs a place; use SQL: DISTANCE(ra, dec, …)")
        try:
            resolve(self.photcodes, schema, [name])
        except UnknownColumnError as err:
            if ":" in name or lower in ("mag", "flux"):
                raise
            # A photcode that is no field here would be no help.
            known = list(field_names(self.table))
            if self.alias != "i":
                known += [p.name for p in self.photcodes]
            raise UnknownColumnError(
                f"{self.table} has no field {name!r}{did_you_mean(name, known)}"
            ) from err
        return f'{self.alias}."{name}"'

    def _noted(self, sql: str) -> str:
        for alias in _NAMES:
            if f"{alias}." in sql and alias != self.alias and alias not in self.joined:
                if (self.alias, alias) not in _JOINS and ("a", alias) in _JOINS:
                    raise QueryError("this field belongs to objects; use avextract")
                self.joined.append(alias)
        return sql

    def source(self) -> str:
        """Write the tables and their joins: what stands behind FROM."""
        joins = [_JOINS[self.alias, alias] for alias in self.joined]
        return " ".join([f"{self.table} AS {self.alias}", *joins])


def _of_average() -> set[str]:
    return {*_AVERAGE, *AVERAGE.names} - {"e_bv", "d_m", "m_r", "feh"}
