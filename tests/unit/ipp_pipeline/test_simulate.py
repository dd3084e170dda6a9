"""A small simulated survey: files that others can read, and a truth that fits them."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import fitsio
import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from click.testing import CliRunner

from dvo.errors import BadCatalogError, ConfigError, StorageError
from dvo.ingest.photcode_text import read_photcodes
from dvo.projection import tan_deproject
from dvo.sphere import separation
from ipp_pipeline.cli import main
from ipp_pipeline.sim import (
    SurveyFiles,
    SurveyPlan,
    estimate_size,
    read_gaia_catalog,
    simulate,
)
from ipp_pipeline.sim.size import SurveySize, check_room
from ipp_pipeline.sim.smf_writer import PS1_V5

PLAN = SurveyPlan(
    n_exposures=6, exposures_per_night=3, density_per_deg2=800, seed=11, photometric_fraction=0.5
)
POWERS = ((2, 0), (1, 1), (0, 2), (3, 0), (2, 1), (1, 2), (0, 3))


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> SurveyFiles:
    return simulate(PLAN, tmp_path_factory.mktemp("survey"))


@pytest.fixture(scope="module")
def truth(survey: SurveyFiles) -> dict[str, dict[str, np.ndarray]]:
    return {
        name: {c: np.asarray(t[c]) for c in t.column_names}
        for name, t in ((name, pq.read_table(path)) for name, path in survey.truth.items())
    }


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_equal_plans_give_equal_files(survey: SurveyFiles, tmp_path: Path) -> None:
    simulate(PLAN, tmp_path, threads=1)
    assert digests(tmp_path) == digests(survey.folder)


def test_another_seed_gives_another_survey(survey: SurveyFiles, tmp_path: Path) -> None:
    other = simulate(SurveyPlan(n_exposures=1, seed=12), tmp_path)
    assert other.exposures[0].read_bytes() != survey.exposures[0].read_bytes()


def numbers(files: SurveyFiles) -> list[tuple[int, int]]:
    """SOURCEID and IMAGEID of every chip."""
    found = []
    for path in files.exposures:
        with fits.open(path) as hdus:
            heads = [h.header for h in hdus if "IMAGEID" in h.header]
            found += [(h["SOURCEID"], h["IMAGEID"]) for h in heads]
    return found


def test_images_of_all_surveys_have_numbers_of_their_own(
    survey: SurveyFiles, tmp_path: Path
) -> None:
    # So many a night that several begin in one minute.
    crowd = SurveyPlan(n_exposures=8, exposures_per_night=4000, density_per_deg2=0.0, seed=12)
    other = simulate(crowd, tmp_path / "other")
    found = numbers(survey) + numbers(other)
    assert len(set(found)) == len(found) == 8 * (6 + 8)
    assert len({image for _, image in found}) == len(found)
    assert all(0 < image < 2**31 for _, image in found)


def test_surveys_of_one_sky_have_the_same_stars(survey: SurveyFiles, tmp_path: Path) -> None:
    plan = replace(PLAN, n_exposures=1, seed=12, sky_seed=11)
    other = pq.read_table(simulate(plan, tmp_path).truth["stars"])
    same = ["star_id", "ra", "dec"]
    assert other.select(same).equals(pq.read_table(survey.truth["stars"]).select(same))


def test_astropy_and_fitsio_read_the_files(survey: SurveyFiles) -> None:
    assert PS1_V5.itemsize == 232
    path = survey.exposures[0]
    with fits.open(path) as hdus:
        hdus.verify("exception")
        assert len(hdus) == 17
        assert hdus[0].header["FILTERID"] == "g.00000"
        assert hdus[0].header["FILENAME"] == path.stem
        assert hdus["XY31.hdr"].header["IMNAXIS1"] == 2048
        assert hdus["XY31.hdr"].header["DETEFF.MAGREF"] < 0
        assert hdus["XY31.psf"].header["EXTTYPE"] == "PS1_V5"
        with fitsio.FITS(str(path)) as other:
            assert (other["XY31.psf"].read()["X_PSF"] == hdus["XY31.psf"].data["X_PSF"]).all()


def polynomial(header: fits.Header, x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    """The documented form, written out anew."""
    x = (x - header["CRPIX1"]) * header["CDELT1"]
    y = (y - header["CRPIX2"]) * header["CDELT2"]
    out = []
    for axis in (1, 2):
        value = header[f"PC{axis}_1"] * x + header[f"PC{axis}_2"] * y
        for i, j in POWERS:
            value = value + header[f"PCA{axis}X{i}Y{j}"] * x**i * y**j
        out.append(value)
    return out


def test_written_astrometry_leads_to_the_true_positions(
    survey: SurveyFiles, truth: dict[str, dict[str, np.ndarray]]
) -> None:
    pulls = []
    for number, path in enumerate(survey.exposures):
        true = {
            c: v[truth["detections"]["exposure"] == number] for c, v in truth["detections"].items()
        }
        with fits.open(path) as hdus:
            primary = hdus[0].header
            rows = np.concatenate([hdus[2 + 2 * i].data for i in range(8)])
            assert (rows["IPP_IDET"] == true["det_id"]).all()
            for i in range(8):
                chip, table = hdus[1 + 2 * i].header, hdus[2 + 2 * i].data
                x, y = (table[c].astype(np.float64) for c in ("X_PSF", "Y_PSF"))
                along_l, along_m = polynomial(chip, x, y)
                xi, eta = polynomial(primary, along_l + chip["CRVAL1"], along_m + chip["CRVAL2"])
                ra, dec = tan_deproject(xi, eta, primary["CRVAL1"], primary["CRVAL2"])
                off = separation(ra, dec, table["RA_PSF"], table["DEC_PSF"])
                assert off.max() * 3600 < 1e-7
        off = separation(rows["RA_PSF"], rows["DEC_PSF"], true["ra_true"], true["dec_true"]) * 3600
        is_good = (true["star_id"] >= 0) & ~true["is_saturated"]
        sigma = np.hypot(rows["X_PSF_SIG"], PLAN.pos_floor_mas / 1000)
        sigma = np.hypot(sigma, np.sqrt(2) * PLAN.solution_error_mas / 1000)
        pulls.append((off / sigma)[is_good])
        # Junk is placed by the true astrometry: only the solution's error is left.
        assert off[true["star_id"] < 0].max() < 8 * PLAN.solution_error_mas / 1000
    # Each coordinate scatters by one sigma, so the mean square of the radius is 2; the
    # solution's error is shared by the stars of a chip and holds in the mean only.
    assert np.mean(np.concatenate(pulls) ** 2) == pytest.approx(2.0, rel=0.1)


def test_photometry_is_truth_plus_noise(
    survey: SurveyFiles, truth: dict[str, dict[str, np.ndarray]]
) -> None:
    photcodes = read_photcodes(survey.photcodes)
    exposures, pulls = truth["exposures"], []
    for number, path in enumerate(survey.exposures):
        true = {
            c: v[truth["detections"]["exposure"] == number] for c, v in truth["detections"].items()
        }
        with fits.open(path) as hdus:
            rows = np.concatenate([hdus[2 + 2 * i].data for i in range(8)])
            code = photcodes.get(hdus[1].header["PHOTCODE"])
            zpt_obs = hdus[0].header["ZPT_OBS"]
        assert zpt_obs == pytest.approx(code.zero_point - exposures["mcal"][number], abs=0.05)
        # DVO's equations: M_inst + 2.5 log t + C - K (airmass - 1) - Mcal - Mflat.
        nominal = code.zero_point - code.airmass_slope * (exposures["airmass"][number] - 1)
        mag = rows["PSF_INST_MAG"] + 2.5 * np.log10(exposures["exptime_s"][number]) + nominal
        is_good = (true["star_id"] >= 0) & ~true["is_saturated"] & (true["snr_true"] > 20)
        sigma = np.hypot(rows["PSF_INST_MAG_SIG"], PLAN.mag_floors[0])
        pulls.append(((mag - true["dimming"] - true["mag_true"]) / sigma)[is_good])
    pull = np.concatenate(pulls)
    assert pull.mean() == pytest.approx(0.0, abs=0.1)
    assert pull.std() == pytest.approx(1.0, abs=0.1)


def test_truth_links_are_complete(
    survey: SurveyFiles, truth: dict[str, dict[str, np.ndarray]]
) -> None:
    stars, detections, chips = truth["stars"], truth["detections"], truth["chips"]
    assert survey.n_detections == detections["star_id"].size == chips["n_detections"].sum()
    assert truth["exposures"]["n_detections"].sum() == survey.n_detections
    assert survey.n_junk == (detections["star_id"] < 0).sum() > 0
    assert (stars["star_id"] == np.arange(survey.n_stars)).all()
    known = detections["star_id"][detections["star_id"] >= 0]
    assert (np.bincount(known, minlength=survey.n_stars) == stars["n_detected"]).all()
    assert (stars["n_detected"] <= stars["n_on_chip"]).all()
    keys = detections["exposure"].astype(int) * 10**9 + detections["det_id"]
    keys += detections["chip"].astype(int) * 10**7
    assert np.unique(keys).size == keys.size
    assert (np.isnan(detections["mag_true"]) == (detections["star_id"] < 0)).all()
    assert set(truth["exposures"]["night"]) <= set(truth["nights"]["night"])
    photcodes = read_photcodes(survey.photcodes)
    assert [p.name for p in photcodes.sec] == ["g", "r", "i", "z", "y"]
    assert all(name in photcodes for name in chips["photcode"])
    for path, name in zip(survey.exposures, truth["exposures"]["file"], strict=True):
        assert survey.folder / name == path


def test_dimming_is_the_sum_of_its_parts(truth: dict[str, dict[str, np.ndarray]]) -> None:
    detections, exposures, chips = truth["detections"], truth["exposures"], truth["chips"]
    nights, flats = truth["nights"], truth["flats"]
    exposure, chip = detections["exposure"], detections["chip"].astype(int)
    cell_x = (detections["x_true"] * PLAN.flat_cells / 2048).astype(int)
    cell_y = (detections["y_true"] * PLAN.flat_cells / 2048).astype(int)
    of_filter = np.array(["grizy".index(f) for f in exposures["filter"]])[exposure]
    season = nights["season"].reshape(-1, 5)[:, 0][exposures["night"][exposure]]
    flat = flats["offset"].reshape(PLAN.n_seasons, 5, 8, PLAN.flat_cells, PLAN.flat_cells)
    want = exposures["mcal"][exposure] + chips["zp_offset"].reshape(-1, 8)[exposure, chip]
    want = want + flat[season, of_filter, chip, cell_y, cell_x]
    assert detections["dimming"] == pytest.approx(want, abs=1e-12)


def test_detections_fade_out_at_the_limit(truth: dict[str, dict[str, np.ndarray]]) -> None:
    stars = truth["stars"]
    is_seen, snr = stars["n_detected"] > 0, stars["max_snr"]
    assert is_seen[snr > 10].all()
    assert not is_seen[(snr > 0) & (snr < 1)].any()
    at_limit = is_seen[(snr > 4) & (snr < 6)]
    assert 0.1 < at_limit.mean() < 0.95


def test_gpc1_writes_sixty_chips(tmp_path: Path) -> None:
    plan = SurveyPlan(camera="gpc1", n_exposures=1, density_per_deg2=200, centre_dec=89.9)
    files = simulate(plan, tmp_path)
    with fits.open(files.exposures[0]) as hdus:
        assert len(hdus) == 121
        assert hdus[1].header["PHOTCODE"] == "GPC1.g.XY10"
        junk_free = sum(hdus[i].header["NAXIS2"] for i in range(2, 121, 2)) - files.n_junk
    assert junk_free > 500


def test_command(tmp_path: Path) -> None:
    words = ["survey", str(tmp_path), "--n-exp", "1", "--density", "100", "--json"]
    words += ["--centre", "0", "-5", "--seed", "2"]
    result = CliRunner().invoke(main, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert "at most some" in result.stderr
    assert report["n_exposures"] == 1
    assert report["n_detections"] > 50
    wrong = CliRunner().invoke(main, ["survey", str(tmp_path), "--centre", "0", "-95"])
    assert wrong.exit_code == 1
    assert "is no position" in wrong.output
    again = CliRunner().invoke(main, words)
    assert again.exit_code == 1
    assert "there is a survey in it" in again.output
    again = CliRunner().invoke(main, [*words, "--overwrite"])
    assert json.loads(again.stdout) == report | {"seconds": json.loads(again.stdout)["seconds"]}


@pytest.mark.parametrize(
    "plan",
    [
        PLAN,
        SurveyPlan(n_exposures=2, density_per_deg2=20.0),
        SurveyPlan(n_exposures=2, density_per_deg2=800.0, satellites=True),
        SurveyPlan(n_exposures=2, density_per_deg2=0.0, satellites=True),
        SurveyPlan(camera="gpc1", n_exposures=1, density_per_deg2=500.0),
    ],
)
def test_the_size_is_foretold(plan: SurveyPlan, tmp_path: Path) -> None:
    size = estimate_size(plan)
    files = simulate(plan, tmp_path)
    n_bytes = sum(p.stat().st_size for p in tmp_path.rglob("*") if p.is_file())
    assert 0.9 * size.n_stars <= files.n_stars < 1.1 * size.n_stars + 10
    # Clouds, crowding and gaps leave less, noise never much more.
    assert 0.3 * size.n_detections < files.n_detections < 1.1 * size.n_detections
    assert 0.5 * size.n_bytes < n_bytes < 1.3 * size.n_bytes


def test_extensions_are_read_by_others(tmp_path: Path) -> None:
    plan = replace(PLAN, n_exposures=1, satellites=True)
    (path,) = simulate(plan, tmp_path).exposures
    with fits.open(path) as hdus:
        names = [hdu.name.upper() for hdu in hdus]
        assert names[1:6] == [f"XY00.{s}" for s in ("HDR", "PSF", "XFIT", "XGAL", "XRAD")]
        fit, gal, rad = (hdus[f"XY00.{suffix}"] for suffix in ("XFIT", "XGAL", "XRAD"))
        assert set(fit.data["MODEL_TYPE"]) == {"PS_MODEL_SERSIC", "PS_MODEL_EXP", "PS_MODEL_DEV"}
        numbers = {fit.header[f"MTNAM{i:02d}"]: fit.header[f"MTVAL{i:02d}"] for i in range(3)}
        assert set(gal.data["MODEL_TYPE"]) == {numbers["PS_MODEL_EXP"]}
        assert gal.data["GAL_CHISQ"].shape == (len(gal.data), 25)
        assert rad.data["APER_FLUX"].shape == (len(rad.data), 5)
        ids = set(hdus["XY00.PSF"].data["IPP_IDET"])
        for hdu in (fit, gal, rad):
            assert set(hdu.data["IPP_IDET"]) <= ids
        n_fits = len(fit.data)
    with fitsio.FITS(str(path)) as file:
        assert len(file["XY00.xfit"].read(columns=["EXT_THETA"])) == n_fits


def test_a_survey_needs_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = SurveyPlan(n_exposures=2)
    need = estimate_size(plan).n_bytes
    for free, is_enough in ((need + 1, True), (need - 1, False)):
        monkeypatch.setattr(
            "ipp_pipeline.sim.size.shutil.disk_usage",
            lambda _, free=free: shutil._ntuple_diskusage(2 * free, free, free),
        )
        out = tmp_path / str(is_enough)
        if is_enough:
            check_room(estimate_size(plan), out / "of" / "folders")
            continue
        with pytest.raises(ConfigError, match=r"GB of disk are free at .*--n-exp"):
            simulate(plan, out)
        assert not out.exists()
    with pytest.raises(ConfigError, match="of memory are in this machine"):
        check_room(SurveySize(n_stars=1, n_detections=1, n_bytes=0, n_memory=2**60), tmp_path)


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    for overwrite in (False, True):
        with pytest.raises(StorageError, match="something in it, and no survey"):
            simulate(PLAN, tmp_path, overwrite=overwrite)
    with pytest.raises(StorageError, match=r"thesis\.tex: no folder to write to"):
        simulate(PLAN, tmp_path / "thesis.tex")


def test_overwriting_leaves_no_exposure_of_the_old_survey(tmp_path: Path) -> None:
    simulate(SurveyPlan(n_exposures=2, density_per_deg2=50.0, seed=3), tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    new = SurveyPlan(n_exposures=1, density_per_deg2=50.0, seed=4)
    files = simulate(new, tmp_path, overwrite=True)
    assert list((tmp_path / "smf").iterdir()) == list(files.exposures)
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("density", [-1.0, float("nan"), float("inf"), 1e10])
def test_densities_that_cannot_be(density: float) -> None:
    with pytest.raises(ConfigError, match="stars per square degree; give 0 to 1e\\+09"):
        SurveyPlan(density_per_deg2=density)


def test_gaia_catalogue_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "gaia.bin"
    path.write_bytes(b"GDR3" + bytes(4) + (2).to_bytes(8, "little") + bytes(36))
    with pytest.raises(BadCatalogError, match="2 rows"):
        read_gaia_catalog(path)
    row = (5).to_bytes(8, "little") + np.array([1.0, 2.0]).tobytes()
    row += np.array([8.0, 8.5, 7.5], np.float32).tobytes()
    path.write_bytes(b"GDR3" + bytes(4) + (1).to_bytes(8, "little") + row)
    stars = read_gaia_catalog(path)
    assert [column[0] for column in stars.values()] == [5, 1.0, 2.0, 8.0, 8.5, 7.5]


def test_floors_are_of_all_filters_or_of_each() -> None:
    assert SurveyPlan(mag_floor=0.02).mag_floors == (0.02,) * 5
    each = (0.014, 0.014, 0.015, 0.015, 0.018)
    assert SurveyPlan(mag_floor=each).mag_floors == each
    for wrong in (-0.01, (0.01, 0.02), (0.01, 0.01, 0.01, 0.01, -0.01)):
        with pytest.raises(ConfigError, match="mag_floor"):
            SurveyPlan(mag_floor=wrong)
