"""Words that extract: against numpy over whole tables, and that the planner sees what they ask."""

from __future__ import annotations

import re

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord

import dvo
from dvo.errors import DvoError, ScriptError
from dvo.partition.store import Store
from dvo.shell.fields import field_names
from tests.shell_session import open_session
from tests.synth import add_images, filled_database, make_database, make_images


@pytest.fixture(scope="module")
def catdir(tmp_path_factory):
    return filled_database(tmp_path_factory.mktemp("extract") / "sky")


@pytest.fixture
def session(catdir):
    with open_session(catdir) as found:
        yield found


@pytest.fixture(scope="module")
def tables(catdir):
    """Whole tables as numpy arrays, read without words or SQL."""
    with dvo.open(catdir) as db:
        average = db.box(0, 360, -90, 90, table="average", columns=None)
        words = db.box(0, 360, -90, 90, table="average", columns=["g", "g:err", "r"])
        measure = db.box(0, 360, -90, 90, table="measure", columns=[
            "ra", "dec", "mjd", "mag:rel", "mag:err", "photcode", "cat_id", "obj_id", "airmass",
            "m_time", "image_id", "db_flags",
        ])  # fmt: skip
        images = db.images()
    return {
        name: {c: np.asarray(t[c].to_numpy()) for c in t.column_names if c != "polyterms"}
        for name, t in (("average", average), ("words", words), ("measure", measure),
                        ("image", images))
    }  # fmt: skip


def assert_same_rows(found, wanted):
    """The same rows in any order, NaN as NaN."""
    assert len(found[0]) == len(wanted[0])
    a, b = (np.column_stack([np.asarray(v, float) for v in rows]) for rows in (found, wanted))
    a, b = (rows[np.lexsort(np.nan_to_num(rows, nan=-1e9).T)] for rows in (a, b))
    np.testing.assert_allclose(a, b, rtol=1e-7)


def test_avextract(session, tables):
    o, w = tables["average"], tables["words"]
    bright = float(np.nanmedian(w["g"]))
    session.run(f"avextract ra, dec,g g:err where (g < {bright!r}) && (nmeas > 2)")
    rows = (w["g"] < bright) & (o["nmeasure"] > 2)
    assert 0 < rows.sum() < len(rows)
    v = session.vectors
    assert_same_rows(
        [v["ra"], v["dec"], v["g"], v["g:err"]],
        [o["ra"][rows], o["dec"][rows], w["g"][rows], w["g:err"][rows]],
    )


def test_where_knows_arithmetic_and_missing_values(session, tables):
    o, w = tables["average"], tables["words"]
    colour = w["g"] - w["r"]
    middle = float(np.nanmedian(np.abs(colour)))
    session.run(
        f"avextract objid catid where (abs(g - r) < {middle!r}) && not(isnan(g)) || (nmeas % 2)"
    )
    rows = (np.abs(colour) < middle) & ~np.isnan(w["g"]) | (o["nmeasure"] % 2 == 1)
    assert 0 < rows.sum() < len(rows)
    v = session.vectors
    assert_same_rows([v["objid"], v["catid"]], [o["obj_id"][rows], o["cat_id"][rows]])


@pytest.mark.parametrize(
    "condition",
    [
        "(ra > 1) && (ra < 300) || (dec > 89)",
        "(dec^2 - ra / 3 + 2 * dec > -1e9) && (ra % 2 < 1)",
        "dsin(dec) * dcos(ra) > 0",
        "(flags & 4) == 0",
        "(ra > 180 ? 360 - ra : ra) < 100",
        "max(ra, dec) - min(ra, dec) > 50",
        "int(ra) == floor(ra)",
        "ln(exp(1)) + log(ten(1)) + sqrt(nmeas * nmeas) > 4",
        "(ra @ dec) > 45",
        "(ra << dec) < (ra >> dec)",
        "-ra < -10",
    ],
)
def test_a_condition_keeps_what_a_subset_keeps(session, condition):
    session.run(f"avextract ra dec flags nmeas objid; subset kept = objid if ({condition})")
    by_subset = np.sort(session.vectors["kept"])
    session.run(f"avextract objid where ({condition})")
    np.testing.assert_array_equal(np.sort(session.vectors["objid"]), by_subset)


def test_mextract_with_columns_of_other_tables(session, tables):
    m, o, i = tables["measure"], tables["average"], tables["image"]
    session.run("mextract time,mag:rel,exptime,RA:AVE,dR,expname,image_extern_id,objid,catid")
    v = session.vectors
    assert len(v["time"]) == len(m["ra"])
    place = {(c, k): ra for c, k, ra in zip(o["cat_id"], o["obj_id"], o["ra"], strict=True)}
    mean_ra = np.array([place[key] for key in zip(m["cat_id"], m["obj_id"], strict=True)])
    assert_same_rows(
        [v["time"], v["mag:rel"], v["exptime"], v["RA:AVE"], v["dR"]],
        [m["mjd"], m["mag:rel"], 10 ** (0.4 * m["m_time"]), mean_ra, (m["ra"] - mean_ra) * 3600],
    )
    names = dict(zip(i["image_id"], i["name"], strict=True))
    assert sorted(v["expname"]) == sorted(names[k] for k in m["image_id"])


def test_mextract_of_a_filter(session, tables):
    with dvo.open(session.shell.catdir) as db:
        g = db.photcodes.get("g")
        codes = [p.code for p in db.photcodes if g.code in (p.code, p.equiv)]
    session.run("mextract mag:rel photcode -photcode g")
    rows = np.isin(tables["measure"]["photcode"], codes)
    assert 0 < rows.sum() < len(rows)
    assert_same_rows(
        [session.vectors["mag:rel"], session.vectors["photcode"]],
        [tables["measure"]["mag:rel"][rows], tables["measure"]["photcode"][rows]],
    )


def test_imextract(session, tables):
    session.run("imextract time,ra,dec,mcal,airmass,name,imageid where (airmass > 0)")
    v, i = session.vectors, tables["image"]
    assert_same_rows([v["ra"], v["mcal"], v["imageid"]],
                     [i["ra_center"], i["mcal_psf"], i["image_id"]])  # fmt: skip
    assert sorted(v["name"]) == sorted(i["name"])


def test_galactic_and_ecliptic_coordinates(session):
    session.run("avextract ra,dec,glon,glat,elon,elat")
    v = session.vectors
    place = SkyCoord(v["ra"] * u.deg, v["dec"] * u.deg)
    for frame, lon, lat, limit in (
        (place.galactic, "glon", "glat", 0.1),
        (place.barycentricmeanecliptic, "elon", "elat", 0.2),
    ):
        there = SkyCoord(v[lon] * u.deg, v[lat] * u.deg)
        here = SkyCoord(frame.spherical.lon, frame.spherical.lat)
        assert here.separation(there).arcsec.max() < limit


def test_regions_of_the_sky(session, tables):
    o = tables["average"]
    ra, dec = o["ra"], o["dec"]
    low, high = np.quantile(dec, [0.2, 0.6]).tolist()
    left, right = np.quantile(ra, [0.3, 0.8]).tolist()
    session.run(f"skyregion {left!r} {right!r} {low!r} {high!r}; avextract ra dec")
    rows = (ra >= left) & (ra <= right) & (dec >= low) & (dec <= high)
    assert 0 < rows.sum() < len(rows)
    assert len(session.vectors["ra"]) == rows.sum()
    session.run("avextract ra -skyregion 0 360 -90 90")
    assert len(session.vectors["ra"]) == len(ra)
    session.run(f"skyregion -box {left!r} {low!r} 0.01; skyregion -save; avextract ra dec")
    v = session.vectors
    assert (v["dec"] <= low + 0.01).all()
    assert float(session.variables["Dmax"]) == pytest.approx(low + 0.01)


def test_regions_across_ra_0(tmp_path):
    catdir = make_database(tmp_path / "seam")
    with Store(catdir, writable=True) as store:
        add_images(store, make_images(3, 60, 2, "wrap"))
    with open_session(catdir) as session:
        session.run("avextract ra; set all = ra; skyregion 350 10 -90 90; avextract ra")
        found = session.vectors["ra"]
        assert (found < 10).any()
        assert (found > 350).any()
        np.testing.assert_array_equal(np.sort(found), np.sort(session.vectors["all"]))
        session.run("skyregion 0 10 -90 90; avextract ra")
        assert len(session.vectors["ra"]) == (found < 10).sum()


def test_the_planner_gets_region_columns_and_condition(session, monkeypatch):
    asked = []
    query = session.shell.query

    def listen(sql, **options):
        asked.append(sql)
        return query(sql, **options)

    monkeypatch.setattr(session.shell, "query", listen)
    session.run("skyregion 10 11 41 42; avextract ra,g where (g < 18)")
    plan = session.shell.database.plan(asked[0])
    (fragment,) = plan.fragments
    (scan,) = fragment.scans
    assert plan.rest is None
    assert scan.area is not None
    assert set(scan.columns) == {"ra", "g"}
    assert "18" in fragment.phases.first.sql()


def test_matching(session, tables):
    o = tables["average"]
    session.run("avextract ra dec objid catid; set R = ra + 0.1 / 3600; set D = dec")
    want = dict(session.vectors)
    session.run("avmatch R D 0.5 objid catid nmeas")
    np.testing.assert_array_equal(session.vectors["objid"], want["objid"])
    np.testing.assert_array_equal(session.vectors["catid"], want["catid"])
    session.run("mmatch R D 0.5 mag:rel objid -index k")
    v = session.vectors
    assert len(v["k"]) == o["nmeasure"].sum()
    np.testing.assert_array_equal(want["objid"][v["k"]], v["objid"])
    session.run("subset N = R if (R < 0); avmatch N N 1 nmeas; mmatch N N 1 mag -index none")
    assert len(session.vectors["nmeas"]) == len(session.vectors["none"]) == 0
    session.run("set far = D * 0 - 89; avmatch R far 1 ra")
    assert np.isnan(session.vectors["ra"]).all()


def test_lightcurve_words(session, tables):
    o = tables["average"]
    k = int(np.argmax(o["nmeasure"]))
    ra, dec = float(o["ra"][k]), float(o["dec"][k])
    session.run(f"lightcurve {ra!r} {dec!r} {{1 / 3600}}")
    assert len(session.vectors["tc"]) == o["nmeasure"][k]
    assert (np.diff(session.vectors["tc"]) >= 0).all()
    session.run(f"lcurve {ra!r} {dec!r} {{1 / 3600}} -d -v t m")
    np.testing.assert_array_equal(session.vectors["m"], session.vectors["mc"])


def test_every_field_can_be_extracted(session):
    for word, table in (("avextract", "average"), ("mextract", "measure"), ("imextract", "image")):
        names = [n for n in field_names(table) if n not in ("polyterms", "astrom_map")]
        session.run(f"{word} {','.join(names)}")
        assert len({len(session.vectors[n]) for n in names}) == 1


@pytest.mark.parametrize("name", ["polyterms", "astrom_map"])
def test_columns_of_several_values_make_no_vector(session, name):
    with pytest.raises(DvoError, match="several values a row"):
        session.run(f"imextract {name}")


def test_answers_do_not_depend_on_the_engine(session):
    session.run("avextract ra,g; set a = ra; set b = g; avextract ra,g -parallel-local")
    np.testing.assert_array_equal(session.vectors["ra"], session.vectors["a"])
    np.testing.assert_array_equal(session.vectors["g"], session.vectors["b"])
    assert session.shell.settings.engine == "inline"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("avextract", "write: avextract FIELD"),
        ("avextract rra", "did you mean ra"),
        ("avextract mag", "an object has no magnitude of its own"),
        ("avextract g:foo", "'foo' is no source"),
        ("avextract ra where (gg < 3)", "'gg'"),
        ("avextract ra where (ra < )", "does not expect ')'"),
        ("avextract ra where", "an expression is missing"),
        ("avextract ra where (erf(ra) > 0)", "erf is for vectors"),
        ("avextract ra where (v[0] > 0)", "a vector cannot stand here"),
        ("avextract ra -photcode g", "objects have no photcode"),
        ("mextract ra -photcode nope", "nope"),
        ("avextract ra -zz", "no option -zz"),
        ("avextract ra;' DROP", "there is no word"),
        ('avextract ra"', "not closed"),
        ('avextract ra where (name == "\'; x")', "name"),
        ("skyregion 1 2 3", "write: skyregion"),
        ("skyregion 1 2 80 100", "are not a range"),
        ("avextract ra -cpt nowhere", "nowhere"),
        ("avextract ra -region", "region RA DEC RADIUS"),
        ("avmatch a b 1 ra", "there is no vector 'a'"),
        ("remote avextract ra", "no partition hosts"),
        ("lcurve 0 -89 0.001", "no object within"),
    ],
)
def test_what_is_wrong_is_shown(session, text, message):
    with pytest.raises(DvoError) as caught:
        session.run(text)
    assert message in str(caught.value)


def test_the_caret_is_under_the_field(session):
    with pytest.raises(ScriptError) as caught:
        session.run("avextract ra,dek where (dec > 3)")
    _, line, caret = str(caught.value).splitlines()
    assert line[caret.index("^") : caret.rindex("^") + 1] == "dek"


def test_text_in_a_condition_stays_text(session):
    session.run('imextract name imageid where (name == "x\' OR 1 = 1 --")')
    assert len(session.vectors["name"]) == 0


def test_hosts_photcodes_images_and_catalogs_are_listed(session, tables):
    assert "no hosts" in session.run("hosts")
    said = session.run("photcodes g")
    assert re.search(r"\bg\b", said)
    assert int(session.variables["photcode:n"]) >= 2
    i = tables["image"]
    session.run(f"gimages {float(i['ra_center'][0])!r} {float(i['dec_center'][0])!r}")
    count = int(session.variables["IMAGEname:n"])
    named = {session.variables[f"IMAGEname:{k}"] for k in range(count)}
    assert i["name"][0] in named
    o = tables["average"]
    session.run(f"gcat {float(o['ra'][0])!r} {float(o['dec'][0])!r}")
    assert session.variables["CATNAME"]
    assert str(len(i["name"])) in session.run(".tables")
