"""The schemas beside Average, SecFilt, Measure and Image, and the flags."""

import enum

import numpy as np
import pytest
from astropy import units
from astropy.io.votable.ucd import check_ucd

from dvo.tables import flags
from dvo.tables.average import AVERAGE
from dvo.tables.flatcorr import FLAT_CORRECTION, FLAT_CORRECTION_IMAGE
from dvo.tables.galphot import GALPHOT
from dvo.tables.image import IMAGE
from dvo.tables.lensing import LENSING
from dvo.tables.lensobj import LENSOBJ
from dvo.tables.measure import MEASURE
from dvo.tables.missing import MISSING
from dvo.tables.photcode import PHOTCODE
from dvo.tables.schema import TableSchema
from dvo.tables.skyregion import SKY_REGION
from dvo.tables.starpar import STARPAR

SCHEMAS = [
    LENSING,
    LENSOBJ,
    GALPHOT,
    STARPAR,
    MISSING,
    PHOTCODE,
    SKY_REGION,
    FLAT_CORRECTION,
    FLAT_CORRECTION_IMAGE,
]


@pytest.mark.parametrize("schema", [AVERAGE, MEASURE, IMAGE], ids=lambda s: s.name)
def test_ucds_of_the_main_tables_are_of_the_standard(schema: TableSchema) -> None:
    words = {column.ucd for column in schema.columns if column.ucd}
    assert {w for w in words if not check_ucd(w, check_controlled_vocabulary=True)} == set()


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda s: s.name)
def test_units_and_ucds_are_of_the_standards(schema: TableSchema) -> None:
    for column in schema.columns:
        if column.unit:
            units.Unit(column.unit, format="fits")
        assert not column.ucd or check_ucd(column.ucd, check_controlled_vocabulary=True), column
        assert column.meaning
        assert len(column.fits_name) <= 68


def row_bytes(schema: TableSchema) -> int:
    return sum(c.numpy_dtype.itemsize * c.shape for c in schema.columns)


def test_rows_are_as_long_as_the_original_ones() -> None:
    assert row_bytes(LENSING) == 160
    assert row_bytes(GALPHOT) == 80
    assert row_bytes(STARPAR) == 80 - 4  # the original pads
    assert row_bytes(LENSOBJ) == 152 + 2 + 4 + 28  # nmeas has 32 bits here; ave_ref, 7 counts


def test_lensing_names_follow_the_original() -> None:
    names = [c.fits_name for c in LENSING.columns]
    assert names[0] == "X11_SM_OBJ"
    assert names[19] == "E2_SH_PSF"
    assert "FLUX_FIL_AP_R7" in names
    assert "OLD_IM_ID" in names


ENUMS = [
    flags.MeasureFlag,
    flags.AverageFlag,
    flags.SecFiltFlag,
    flags.ImageFlag,
    flags.PhotFlag,
    flags.PhotFlag2,
]


@pytest.mark.parametrize("kind", ENUMS, ids=lambda k: k.__name__)
def test_every_flag_is_one_bit_of_32(kind: type[enum.IntFlag]) -> None:
    values = [int(flag) for flag in kind]
    assert len(set(values)) == len(values)
    assert values == sorted(values)
    assert all(v.bit_count() == 1 and v < 2**32 for v in values)
    assert np.uint32(max(values)) == max(values)


def test_masks_name_known_bits() -> None:
    assert int(flags.CHIP_FLAGS) == 0x01003F1F
    assert int(flags.STACK_FLAGS) == 0x0003C020
    assert flags.SecFiltFlag.RANK_4 in flags.CHIP_FLAGS
    assert flags.SecFiltFlag.STACK_PRIMARY in flags.STACK_FLAGS


def test_some_values_of_the_original() -> None:
    assert flags.MeasureFlag.MASKED_PSF == 0x1000000
    assert flags.AverageFlag.BAD_STACK == 0x40000000
    assert flags.PhotFlag.OFF_CHIP == 0x80000000
    assert flags.PhotFlag2.ON_CTE == 0x2000000
    assert flags.ImageFlag.IMAGE_PHOTCAL == 0x8000
