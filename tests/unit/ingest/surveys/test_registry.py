"""What every description of a survey must keep, so that its reader can rely on it."""

import pytest

from dvo.errors import ConfigError
from dvo.ingest.detections import measure_columns
from dvo.ingest.surveys.forms import Survey
from dvo.ingest.surveys.registry import SURVEYS, find_survey, photcode_of
from dvo.tables.flags import PhotFlag

EVERY = pytest.mark.parametrize("survey", SURVEYS.values(), ids=SURVEYS)
POSITION = {"ra", "dec"}


@EVERY
def test_forms_spell_every_band(survey: Survey) -> None:
    for form in survey.forms:
        assert len(form.words) == len(survey.bands), form.name
        assert form.words[0] or any(form.words)


@EVERY
def test_forms_need_positions_and_a_magnitude(survey: Survey) -> None:
    for form in survey.forms:
        needed = {f.key for f in form.fields if f.is_needed}
        assert needed >= POSITION, form.name
        assert needed & {"mag", "m_kron"}, form.name
        assert all(f.is_of_band for f in form.fields if f.key in ("mag", "m_kron")), form.name


@EVERY
def test_files_without_names_have_a_reader_and_a_beginning(survey: Survey) -> None:
    for form in survey.forms:
        assert (form.starts is None) == (form.read is None), form.name


@EVERY
def test_rules_are_about_columns_that_some_form_has(survey: Survey) -> None:
    made = {"system", "solution"}  # of Hipparcos, from Sn
    keys = {f.key for form in survey.forms for f in form.fields} | made
    assert {rule.key for rule in survey.rules} <= keys
    # A rule's column must not be taken for one of Measure.
    assert not {rule.key for rule in survey.rules} & measure_columns().keys()


@EVERY
def test_photcodes_can_be(survey: Survey) -> None:
    names = [band.photcode for band in survey.bands]
    assert len(set(names)) == len(names)
    for band in survey.bands:
        made = photcode_of(survey, band, 7)
        assert (made.name, made.code) == (band.photcode, 7)
        assert made.astrom_err_sys == survey.pos_sys_arcsec


def test_no_two_surveys_share_a_photcode() -> None:
    names = [band.photcode for survey in SURVEYS.values() for band in survey.bands]
    assert len(set(names)) == len(names)


def test_every_survey_says_how_good_its_positions_are() -> None:
    # Hipparcos gives errors in every form.
    vague = {s.name for s in SURVEYS.values() if not (s.pos_err_arcsec or s.pos_sys_arcsec)}
    assert vague == {"hipparcos"}


def test_flags_are_bits_of_ours() -> None:
    effects = [r.effect for s in SURVEYS.values() for r in s.rules]
    assert all(e.bit_count() == 1 for e in effects if isinstance(e, PhotFlag))


def test_an_unknown_survey_and_another_name_of_photcodes() -> None:
    with pytest.raises(ConfigError, match="no survey 'ukidss'; there are gaia"):
        find_survey("ukidss")
    assert [b.photcode for b in find_survey("2mass", "T").bands] == ["T.J", "T.H", "T.K"]
