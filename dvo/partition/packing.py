"""How the columns of the files of one commit are packed.

Trying every codec on a sample costs as much as writing a small file, and the regions of a
survey are alike: the choice that was made for one file serves those after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from dvo.tables.fits import Level, TableHDU, choose_packing
from dvo.tables.schema import Codec

__all__ = ["Packings"]

_Choice = tuple[Mapping[str, Codec], Mapping[str, Level]]


class Packings:
    """Codecs and levels of the columns of each table, chosen once for many files."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, _Choice]] = {}

    def of(self, table: str, hdu: TableHDU) -> tuple[TableHDU, Mapping[str, Level]]:
        """Choose codecs and levels for a file, or take those of an earlier one.

        Parameters
        ----------
        table : str
            Name of the table.
        hdu : TableHDU
            What will be written.

        Returns
        -------
        hdu : TableHDU
            The same with the codecs of its fields.
        levels : mapping of str to Level
            Level of each column.
        """
        n_rows, (codecs, levels) = self._found.get(table, (0, ({}, {})))
        # A file of few rows tells little: what is much larger than it is looked at anew.
        if hdu.n_rows > 4 * n_rows or any(f.name not in codecs for f in hdu.fields):
            codecs, levels = choose_packing(hdu.fields, hdu.columns)
            self._found[table] = hdu.n_rows, (codecs, levels)
        fields = tuple(replace(f, codec=codecs[f.name]) for f in hdu.fields)
        return replace(hdu, fields=fields), levels
