"""Image rows: what they say of the sky that an image covers."""

from __future__ import annotations

import numpy as np
import pytest

from dvo.ingest.batch import BatchImage
from dvo.ingest.image_rows import image_rows
from dvo.sphere import separation
from dvo.tables.photcode import PhotClass, PhotcodeTable
from tests import synth


@pytest.mark.parametrize("field", synth.FIELDS)
def test_the_circle_holds_every_detection(field: str) -> None:
    """Also after its radius has been stored with fewer digits."""
    code = PhotcodeTable().add("g", PhotClass.SEC).add("CAM.g", PhotClass.DEP, filter_name="g")
    for seed in range(20):
        (image,) = synth.make_images(seed, 50, 1, field)
        found = image.detections
        row = image_rows([BatchImage(image, code.get("CAM.g"), 1, 1.0, 57000.0)], {})
        centre = [np.full(len(found), row[c][0]) for c in ("ra_center", "dec_center")]
        far = separation(*centre, found.ra, found.dec).max()
        assert far <= row["radius"][0] < far * (1 + 1e-6)
