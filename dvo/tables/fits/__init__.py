"""FITS tables, tile-compressed or plain: read, write, pack, unpack, verify.

Bit for bit what CFITSIO's fpack and funpack mean, but column by column, a tile at a
time and in threads. Upper layers use the names below and none of the modules.
"""

from dvo.tables.fits.choose import choose_codecs, choose_packing
from dvo.tables.fits.codecs import Level
from dvo.tables.fits.field import Field, stored_columns
from dvo.tables.fits.header import Header
from dvo.tables.fits.pack import pack
from dvo.tables.fits.reader import TableFile
from dvo.tables.fits.report import describe, verify
from dvo.tables.fits.stream import PlainStream
from dvo.tables.fits.unpack import unpack
from dvo.tables.fits.writer import Levels, TableHDU, WrittenFile, write_fits

__all__ = [
    "Field",
    "Header",
    "Level",
    "Levels",
    "PlainStream",
    "TableFile",
    "TableHDU",
    "WrittenFile",
    "choose_codecs",
    "choose_packing",
    "describe",
    "pack",
    "stored_columns",
    "unpack",
    "verify",
    "write_fits",
]
