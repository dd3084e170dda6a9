"""addstar and dvo photcode: what they say, and what they say when something is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from dvo.cli.addstar import addstar
from dvo.cli.main import dvo_command
from tests.synth import make_database
from tests.unit.ingest.psphot_files import write_smf

POSITIONS = "ra=ra,dec=dec,mag=mag"


@pytest.fixture
def catdir(tmp_path):
    path = make_database(tmp_path / "sky")
    run("photcode", "add", path, "CAT.V", "--class", "ref")
    return path


def run(*words, code=0, command=dvo_command):
    done = CliRunner().invoke(command, [str(w) for w in words])
    assert done.exit_code == code, (done.output, done.exception)
    return done.output if done.exception is None or code == 2 else str(done.exception)


def add(catdir, *words, code=0):
    return run(catdir, *words, code=code, command=addstar)


def add_reference(catdir, *words, code=0):
    return add(catdir, "--ref", "CAT.V", "--epoch", 2000, "--map", POSITIONS, *words, code=code)


def table(path: Path, *rows: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(["ra,dec,mag", *rows]) + "\n")
    return path


def test_a_reference_catalog_is_reported_as_one(catdir, tmp_path):
    file = table(tmp_path / "stars.csv", "10.0,20.0,7.5", "10.1,20.0,8.5")
    said = add_reference(catdir, file)
    assert said.startswith("1 reference catalog added; 2 rows: 0 of known objects, 2 new objects;")
    assert "image" not in said
    said = add_reference(catdir, file)
    assert said.startswith("0 reference catalogs added, 1 skipped, being in already; 0 rows:")


def test_a_catalog_is_known_by_its_name(catdir, tmp_path):
    first = table(tmp_path / "a" / "part1.csv", "10.0,20.0,7.5")
    other = table(tmp_path / "b" / "part1.csv", "11.0,20.0,7.5")
    add_reference(catdir, first)
    assert "give it a name of its own (--name)" in add_reference(catdir, other, code=1)
    assert add_reference(catdir, other, "--name", "B").startswith("1 reference catalog added")
    # Wherever the file is and whatever it is called now.
    moved = other.rename(tmp_path / "moved.csv")
    assert add_reference(catdir, moved, "--name", "B").startswith("0 reference catalogs added, 1")
    assert json.loads(run("info", catdir, "--json"))["n_objects"] == 2


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("--name", "x", "a.csv"), "--name is for a reference catalog"),
        (("--ref", "CAT.V", "--epoch", "2000", "--map", POSITIONS), "--ref needs FILES"),
        (("--ref", "CAT.V", "--map", POSITIONS, "a.csv"), "--epoch"),
        (("--images", "a.csv", "--ref", "CAT.V"), "exclude each other"),
        ((), "nothing to add"),
    ],
)
def test_misuse_of_addstar(catdir, words, what):
    assert what in add(catdir, *words, code=2)


def test_a_plain_table_needs_to_be_told_as_what(catdir, tmp_path):
    file = table(tmp_path / "stars.csv", "10.0,20.0,7.5")
    said = add(catdir, file, code=1)
    assert "no FITS file; a plain table needs --images LIST or --ref PHOTCODE, and --map" in said


def test_a_folder_is_no_catalog(catdir, tmp_path):
    said = add(catdir, tmp_path, code=1)
    assert f"{tmp_path}: is a folder; give the files in it, such as {tmp_path}/*.smf" in said


def test_a_radius_has_limits(catdir):
    assert "above 0 and below 3600" in add(catdir, "a.smf", "--radius", 3600, code=2)


def test_a_list_without_exposures_is_an_error(catdir, tmp_path):
    listed = tmp_path / "list.csv"
    listed.write_text("file,name,photcode,mjd,exptime,airmass\n")
    assert "lists no exposure" in add(catdir, "--images", listed, "--map", POSITIONS, code=1)


def test_a_catalog_without_good_rows_leaves_its_name_free(catdir, tmp_path):
    bad = table(tmp_path / "stars.csv", "10.0,95.0,7.5", "nan,20.0,8.5")
    said = add_reference(catdir, bad, code=1)
    assert "no row is left" in said
    assert "1 (dec out of range)" in said
    good = table(tmp_path / "stars.csv", "10.0,20.0,7.5", "10.1,20.0,-999")
    said = add_reference(catdir, good)
    assert said.startswith("1 reference catalog added; 2 rows")
    assert "left out: 1 (magnitudes beyond -40 to 60, now missing)" in said


def test_bad_files_and_images_are_left_out_on_demand(catdir, tmp_path):
    write_smf(tmp_path / "a.smf")
    (tmp_path / "b.smf").write_bytes((tmp_path / "a.smf").read_bytes()[:3000])
    (tmp_path / "c.smf").write_text("no catalog")
    files = [tmp_path / name for name in ("c.smf", "a.smf", "b.smf")]
    words = (*files, "--photcode", "SYNTH.g.C00", "--max-cerror")
    assert "c.smf" in add(catdir, *words, 1, code=1)
    report = json.loads(add(catdir, *words, 1, "--skip-bad", "--json"))
    assert report["n_images"] == 2
    assert ["c.smf" in report["left_out"][0], "b.smf" in report["left_out"][1]] == [True, True]
    again = make_database(tmp_path / "again")
    lines = add(again, *words, 0.01, "--skip-bad").splitlines()
    assert lines[0].startswith("0 images added")
    assert sum(line.startswith("left out as bad:") for line in lines) == 4
    assert sum("CERROR" in line for line in lines) == 2


def test_notes_are_told_once_with_the_images(catdir, tmp_path):
    table(tmp_path / "one.csv", "10.0,20.0,17.5")
    lines = [f"one.csv,night-{i},SYNTH.g.C00,57000.{i},30,1.1" for i in (1, 2, 3)]
    listed = tmp_path / "list.csv"
    listed.write_text("\n".join(["file,name,photcode,mjd,exptime,airmass", *lines]))
    words = ("--images", listed, "--map", "ra=ra,dec=dec,mag_inst=mag")
    notes = [line for line in add(catdir, *words).splitlines() if line.startswith("note:")]
    assert len(notes) == 1
    assert notes[0].startswith("note: night-1 and 2 more: mag_inst is mostly above 0")
    again = make_database(tmp_path / "again")
    (seen,) = json.loads(add(again, *words, "--json"))["notes"].values()
    assert seen == ["night-1", "night-2", "night-3"]


def test_a_photcode_is_added_once(catdir):
    words = ("photcode", "add", catdir, "CAM.g.C1", "--class", "dep", "--filter", "g")
    assert run(*words, "--zero", 24.5).strip() == "photcode 6 CAM.g.C1"
    said = run(*words, "--zero", 24.5)
    assert said.strip() == "photcode 6 CAM.g.C1 is in the database already, just so"
    assert len(run("log", catdir).splitlines()) == 3
    said = run(*words, "--zero", 25, code=1)
    assert "in the database already, with other parameters (zero_point 24.5, not 25.0)" in said
    assert "(code 6, not 9; zero_point 24.5, not 0.0)" in run(*words, "--code", 9, code=1)
    assert "g is an average filter" in run("photcode", "add", catdir, "g", "--class", "ref", code=1)
    said = run("photcode", "add", catdir, "NEW", "--class", "ref", "--code", 6, code=1)
    assert "number 6 stands twice, for CAM.g.C1 and NEW" in said


def test_another_form_of_a_filter_has_its_number(catdir):
    words = ("photcode", "add", catdir, "g_alt", "--class", "alt")
    assert "needs --filter" in run(*words, code=2)
    assert run(*words, "--filter", "g").strip() == "photcode 1 g_alt"
    assert run(*words, "--filter", "g").strip().endswith("just so")


def test_photcodes_go_out_and_in(catdir, tmp_path):
    assert "no such file" in run("photcode", "import", catdir, tmp_path / "none", code=1)
    said = run("photcode", "export", catdir, tmp_path / "none" / "codes.txt", code=1)
    assert "codes.txt: cannot be written (No such file or directory)" in said
    assert run("photcode", "export", catdir, tmp_path / "codes.txt").endswith(", 5 photcodes\n")
    said = run("photcode", "import", catdir, tmp_path / "codes.txt")
    assert said == "0 photcodes added, 5 were there\n"


def psc(path: Path) -> Path:
    path.write_text(
        "ra,dec,j_m,j_msigcom,h_m,h_msigcom,k_m,k_msigcom,ph_qual\n"
        "10.0,20.0,12.0,0.02,11.0,0.02,10.0,0.02,AAA\n"
        "10.1,20.0,12.5,0.02,11.5,0.02,10.5,,AAU\n"
    )
    return path


def test_a_survey_brings_its_photcodes(catdir, tmp_path):
    file = psc(tmp_path / "psc.csv")
    said = add(catdir, "--survey", "2mass", file)
    assert "photcodes added: 2MASS.J, 2MASS.H, 2MASS.K" in said
    assert "1 reference catalog added; 2 rows (5 measures): 0 of known objects" in said
    assert "0.08 arcsec" in said  # no position errors in the file
    listed = run("photcode", "list", catdir)
    assert listed.count(" ref ") == 4
    said = add(catdir, "--survey", "2mass", file)
    assert "photcodes added" not in said
    assert "1 skipped" in said


def test_bands_and_system_of_a_survey(catdir, tmp_path):
    file = psc(tmp_path / "psc.csv")
    said = json.loads(
        add(catdir, "--survey", "2mass", file, "--bands", "h, K", "--system", "MY", "--json")
        .splitlines()[-1]
    )  # fmt: skip
    assert (said["n_detections"], said["n_measures"]) == (2, 3)
    assert "MY.K" in run("photcode", "list", catdir)
    assert "MY.J" not in run("photcode", "list", catdir)
    assert "survey 2mass has J, H, K" in add(
        catdir, "--survey", "2mass", file, "--bands", "Q", code=1
    )
    assert "are for a survey" in add(catdir, file, "--bands", "J", code=2)


def test_a_photcode_that_the_user_made_is_left_as_it_is(catdir, tmp_path):
    run("photcode", "add", catdir, "2MASS.J", "--class", "ref", "--filter", "g")
    run("photcode", "add", catdir, "OLD.H", "--class", "dep", "--filter", "g", "--zero", 25)
    add(catdir, "--survey", "2mass", psc(tmp_path / "psc.csv"))
    row = next(r for r in run("photcode", "list", catdir).splitlines() if "2MASS.J" in r)
    assert row.split()[10] == "g"
    said = add(catdir, "--survey", "2mass", psc(tmp_path / "b.csv"), "--system", "OLD", code=1)
    assert "OLD.H is a DEP" in said


def test_files_of_a_survey_are_catalogs_of_their_own(catdir, tmp_path):
    one, two = psc(tmp_path / "psc_aaa"), psc(tmp_path / "psc_aab")
    two.write_text(two.read_text().replace("10.0,20.0", "50.0,20.0"))
    assert "2 reference catalogs added; 4 rows" in add(catdir, "--survey", "2mass", one, two)
    assert "one file at a time" in add(
        catdir, "--survey", "2mass", one, two, "--name", "PSC", code=1
    )
    assert "no such file" in add(catdir, "--survey", "2mass", tmp_path / "gone", code=1)
