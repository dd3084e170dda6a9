"""A database of stars with colours, whose means are planted: what is fitted is known."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from dvo.ingest.detections import Detections, InputImage, RefSource
from dvo.ingest.photcodes import put_photcodes
from dvo.partition.store import Store
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.photcode import PhotClass
from dvo.tables.secfilt import SECFILT
from tests.synth import add_images, make_database, make_image, make_stars

SIGMA = 0.01


class ColourSky:
    """Stars with g, r and g-r; exposures of both filters, and a reference catalog of g."""

    def __init__(self, path: Path, rng: np.random.Generator, n_stars: int = 400) -> None:
        self.path = make_database(path)
        self.stars = replace(make_stars(rng, n_stars), mag=rng.uniform(15, 18, n_stars))
        self.colour = rng.uniform(-0.2, 1.4, n_stars)
        self.rng = rng
        with Store(self.path, writable=True) as store:
            table = store.view().photcodes.add("CAT.g", PhotClass.REF, filter_name="g")
            table = table.add("CAT.none", PhotClass.REF)
            put_photcodes(store, table, "photcode add", {})

    def exposure(self, k: int, band: str, shift: object = 0.0) -> InputImage:
        """Exposure k, whose magnitudes are those of the filter and a shift of each star."""
        mag = self.stars.mag - (self.colour if band == "r" else 0.0) + shift
        stars = replace(self.stars, mag=np.asarray(mag, float))
        made = make_image(np.random.default_rng(k), stars, k, seen=1.0, band=band)
        errors = {"mag_err": np.full(len(made.detections), 0.02, np.float32)}
        found = made.detections
        return replace(made, detections=replace(found, columns=found.columns | errors))

    def catalog(self, shift: object, *, name: str = "CAT.g", noise: float = SIGMA) -> InputImage:
        """A reference catalog of all stars."""
        n = len(self.stars)
        mag = (self.stars.mag + shift + self.rng.normal(0, noise, n)).astype(np.float32)
        columns = {"mag": mag, "mag_err": np.full(n, noise, np.float32),
                   "det_id": np.arange(n, dtype=np.uint32)}  # fmt: skip
        content = hashlib.md5(mag.tobytes()).hexdigest()
        return InputImage(RefSource(name, 57000.0, f"catalog of {name}", content),
                          Detections(self.stars.ra, self.stars.dec, columns), {})  # fmt: skip

    def fill(self, *images: InputImage) -> None:
        """Add them, and plant the true means: those made of few exposures are noisy."""
        with Store(self.path, writable=True) as store:
            add_images(store, images)

    def plant_means(self, shift: object = 0.0) -> None:
        """Give all objects their true means, with small errors; a shift of g."""
        with Store(self.path, writable=True) as store:
            view = store.view()
            with store.begin("test", {}, view) as change:
                for region in view.regions():
                    average = view.read(AVERAGE, region)
                    star = self.star_of(average["ra"], average["dec"])
                    mag = np.column_stack([
                        self.stars.mag[star] + np.broadcast_to(shift, len(self.stars))[star],
                        self.stars.mag[star] - self.colour[star]]).ravel()  # fmt: skip
                    columns = {"mag": mag.astype(np.float32),
                               "mag_err": np.full(len(mag), 0.002, np.float32)}  # fmt: skip
                    change.patch_rows(np.arange(len(mag)), ColumnTable(SECFILT, columns), [region],
                                      np.array([0, len(mag)]), label=f"t{region}")  # fmt: skip
                change.commit()

    def star_of(self, ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
        """The star at each place."""
        dx = (ra[:, None] - self.stars.ra) * np.cos(np.radians(self.stars.dec))
        return np.hypot(dx, dec[:, None] - self.stars.dec).argmin(axis=1)
