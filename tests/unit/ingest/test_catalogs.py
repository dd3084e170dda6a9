"""The kind of a catalog is told by its content."""

from pathlib import Path

import fitsio
import numpy as np
import pytest
from astropy.io import fits

from dvo.errors import BadCatalogError
from dvo.ingest.catalogs import read_catalog
from dvo.ingest.detections import ImageMeta
from tests.unit.ingest.psphot_files import write_smf
from tests.unit.ingest.test_ldac import CARDS, columns, imhead, objects


def test_psphot(tmp_path: Path) -> None:
    images = list(read_catalog(write_smf(tmp_path / "x.fits"), photcode="CAM.r"))
    assert len(images) == 2
    assert isinstance(images[0].meta, ImageMeta)
    assert images[0].meta.photcode == "CAM.r"


def test_ldac(tmp_path: Path) -> None:
    path = tmp_path / "x.fits"
    fits.HDUList([fits.PrimaryHDU(), imhead(CARDS), objects(columns(3))]).writeto(path)
    (image,) = read_catalog(path)
    assert len(image.detections) == 3


def test_other_tables_need_a_map(tmp_path: Path) -> None:
    fitsio.write(str(tmp_path / "t.fits"), {"ra": np.zeros(3), "dec": np.zeros(3)}, extname="CAT")
    with pytest.raises(BadCatalogError, match=r"CAT.*--map"):
        list(read_catalog(tmp_path / "t.fits"))
    (tmp_path / "t.csv").write_text("ra,dec\n1,2\n")
    with pytest.raises(BadCatalogError, match=r"t\.csv"):
        list(read_catalog(tmp_path / "t.csv"))
