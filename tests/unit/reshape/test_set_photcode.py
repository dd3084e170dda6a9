"""Parameters of photcodes set anew: what is stored is what they would have made from the first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dvo.errors import PhotcodeError
from dvo.ingest.photcodes import put_photcodes
from dvo.partition.check import check
from dvo.partition.history import rollback
from dvo.partition.store import Store
from dvo.reshape.photcodes import set_photcode
from dvo.tables.photcode import PhotcodeTable
from tests import synth
from tests.synth_objects import add, compact, database, exposure, objects, survey

CODE = "SYNTH.g.C00"


def steps(*, tidy: bool = False) -> list:
    stars = synth.make_stars(np.random.default_rng(5), 40)
    images = [exposure(stars, k) for k in range(4)]
    for image in images:
        # An offset from the nominal zero point of before would stay what it is.
        image.meta = replace(image.meta, zero_point=np.nan)
    catalog = survey(stars, "one", 1991.25, 1, 0.5)
    return [add(*images[:2]), add(catalog), *([compact] if tidy else []), add(*images[2:])]


def with_photcode(path: Path, name: str = CODE, **values: object) -> Path:
    """A database in which the photcode was so before anything came in."""

    def put(store: Store) -> None:
        table = [replace(p, **values) if p.name == name else p for p in store.view().photcodes]
        put_photcodes(store, PhotcodeTable(tuple(table)), "photcode add", {})

    return database(path, [put, *steps()])


@pytest.mark.parametrize(
    "tidy", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["loose", "sorted"]
)
@pytest.mark.parametrize(
    ("words", "values"),
    [
        ({"zero": "24.7"}, {"zero_point": 24.7}),
        ({"airmass": "-0.2", "offset": "0.05"},
         {"airmass_slope": 0.2, "zero_point_offset": 0.05}),
        ({"FILTER": "r"}, {"equiv": 2}),
        ({"primary": "-"}, {"equiv": 0}),
        ({"astromSys": "0.5", "astromScale": "2"},
         {"astrom_err_sys": 0.5, "astrom_err_scale": 2.0}),
    ],
)  # fmt: skip
def test_means_are_those_of_the_new_parameters(tmp_path: Path, words, values, tidy) -> None:
    path = database(tmp_path / "sky", steps(tidy=tidy))
    with Store(path, writable=True) as store:
        before, was = store.view().snapshot.id, synth.contents(store.view())
        done = set_photcode(store, CODE, words)
        assert done.is_new
        assert done.n_objects > 0
        assert check(store, deep=True).faults == []
        assert set_photcode(store, CODE, words).snapshot == done.snapshot
        found = objects(store.view())
    with Store(with_photcode(tmp_path / "one", **values)) as store:
        wanted = objects(store.view())
        assert store.view().photcodes.get(CODE).color_terms == ()
    assert found.keys() == wanted.keys()
    for key, facts in wanted.items():
        for name, value in facts.items():
            if name not in ("nused_ap", "nused_kron"):
                np.testing.assert_array_equal(found[key][name], value, err_msg=f"{name} of {key}")
    with Store(path, writable=True) as store:
        rollback(store, before)
        synth.assert_same(synth.contents(store.view()), was)


def test_what_no_mean_rests_on_is_set_alone(tmp_path: Path) -> None:
    path = database(tmp_path / "sky", steps())
    with Store(path, writable=True) as store:
        before = synth.contents(store.view())
        words = {"slope": "0.1,-0.02", "c1": "g", "c2": "r", "color": "0.4", "aBad": "0x8"}
        done = set_photcode(store, CODE, words)
        assert done.n_objects == 0
        assert done.photcode.color_terms == (0.1, -0.02)
        assert done.photcode.color_codes == (1, 2)
        assert set_photcode(store, CODE, {"name": "SYNTH.g.C99"}).n_objects == 0
        assert store.view().photcodes.get("SYNTH.g.C99") == replace(
            done.photcode, name="SYNTH.g.C99"
        )
        after = synth.contents(store.view())
        for key in before.keys() - {"photcodes"}:
            synth.assert_same({key: before[key]}, {key: after[key]})
        assert check(store, deep=True).faults == []
        set_photcode(store, "g", {"name": "green"})
        assert [p.name for p in store.view().photcodes.sec] == ["green", "r"]


@pytest.mark.parametrize(
    ("name", "words", "message"),
    [
        ("none", {"zero": "1"}, "not in the photcode table"),
        (CODE, {"code": "7"}, "code: cannot be set; of a photcode there are name, zero"),
        (CODE, {"colour": "7"}, "colour: cannot be set"),
        (CODE, {"zero": "bright"}, "zero is 'bright'; write a number"),
        (CODE, {"zero": "24 25"}, "without spaces"),
        (CODE, {"filter": "w"}, "which no line of the file defines"),
        (CODE, {"name": "SYNTH.r.C00"}, "stands twice"),
        (CODE, {"name": "SYNTH.g.Stack"}, "choose a name of the same kind"),
        ("CAT.V", {"zero": "1"}, "taken as they are"),
        ("CAT.V", {"name": "CAT.B"}, "cannot be renamed: the reference catalog CAT.V:one"),
    ],
)
def test_what_cannot_be(tmp_path: Path, name: str, words: dict[str, str], message: str) -> None:
    path = database(tmp_path / "sky", steps())
    with Store(path, writable=True) as store:
        before = store.view().snapshot
        with pytest.raises(PhotcodeError, match=message):
            set_photcode(store, name, words)
        assert store.view().snapshot == before
