"""The photcode table: look-ups, order of averages, refusals, columns."""

import numpy as np
import pytest

from dvo.errors import PhotcodeError, UnknownPhotcodeError
from dvo.tables.photcode import PHOTCODE, PhotClass, Photcode, PhotcodeTable


def survey() -> PhotcodeTable:
    table = PhotcodeTable()
    for name in ("g", "r", "i"):
        table = table.add(name, PhotClass.SEC)
    for name in ("g", "r"):
        table = table.add(
            f"GPC1.{name}.XY01",
            PhotClass.DEP,
            filter_name=name,
            zero_point=24.563,
            airmass_slope=0.147,
        )
    return table.add("GAIA.G", PhotClass.REF)


def test_codes_and_order_of_averages() -> None:
    table = survey()
    assert [p.code for p in table] == [1, 2, 3, 4, 5, 6]
    assert [p.name for p in table.sec] == ["g", "r", "i"]
    index = table.sec_index_of_code
    assert index[[1, 2, 3, 4, 5, 6, 999]].tolist() == [0, 1, 2, 0, 1, -1, -1]
    assert table.get("GPC1.r.XY01").zero_point == 24.563
    assert table.get_code(6).kind is PhotClass.REF
    assert "g" in table
    assert "u" not in table


def test_order_of_averages_is_that_of_the_table_not_of_codes() -> None:
    table = PhotcodeTable().add("z", PhotClass.SEC, code=9).add("g", PhotClass.SEC, code=2)
    assert [p.name for p in table.sec] == ["z", "g"]
    assert table.sec_index_of_code[[9, 2]].tolist() == [0, 1]


def test_adding_leaves_the_old_table_alone() -> None:
    table = survey()
    longer = table.add("z", PhotClass.SEC)
    assert len(table) == 6
    assert len(longer) == 7
    assert longer.get("z").code == 7


def test_next_code_fills_a_gap_when_the_top_is_taken() -> None:
    table = PhotcodeTable().add("g", PhotClass.SEC, code=1).add("top", PhotClass.REF, code=65535)
    assert table.add("next", PhotClass.REF).get("next").code == 2


def test_unknown_name_says_what_to_do() -> None:
    with pytest.raises(UnknownPhotcodeError) as caught:
        survey().get("GPC1.r.XY02")
    text = str(caught.value)
    assert "GPC1.r.XY01" in text
    assert "dvo photcode add CATDIR GPC1.r.XY02 --class dep --filter r --zero ZEROPOINT" in text
    assert "dvo photcode add CATDIR GPC1.r.XY02 --class ref" in text
    with pytest.raises(UnknownPhotcodeError, match="77"):
        survey().get_code(77)


def test_unknown_name_says_what_it_would_have_to_be() -> None:
    def message(name: str, kind: PhotClass) -> str:
        with pytest.raises(UnknownPhotcodeError) as caught:
            survey().get(name, kind)
        return str(caught.value)

    text = message("MYCAM.q", PhotClass.DEP)
    assert "--class dep --filter FILTER --zero ZEROPOINT` (FILTER: g, r, i)" in text
    assert "--class ref" not in text
    assert message("2MASS.J", PhotClass.REF).endswith("add CATDIR 2MASS.J --class ref`")
    assert "there is no average filter 'q'; this database has g, r, i" in message(
        "q", PhotClass.SEC
    )
    with pytest.raises(UnknownPhotcodeError, match="no average filter 'q'"):
        survey().add("X", PhotClass.DEP, filter_name="q")


@pytest.mark.parametrize(
    "bad",
    [
        {"name": "a b"},
        {"name": ""},
        {"name": "x" * 33},
        {"name": "-"},
        {"name": "-g"},
        {"name": "#g"},
        {"name": "12"},
        {"name": "mag"},
        {"name": "g:r"},
        {"name": "é"},
        {"code": 0},
        {"code": 65536},
        {"zero_point": float("nan")},
        {"color_terms": (1.0, 2.0, 3.0, 4.0, 5.0)},
        {"color_terms": (float("inf"),)},
        {"astrom_bad_mask": 2**32},
        {"astrom_poor_mask": -1},
        {"equiv": 70000},
        {"kind": PhotClass.REF, "zero_point": 25.0},
    ],
)
def test_photcodes_that_cannot_be(bad: dict[str, object]) -> None:
    fields: dict[str, object] = {"code": 1, "name": "x", "kind": PhotClass.DEP, **bad}
    with pytest.raises(PhotcodeError):
        Photcode(**fields)  # type: ignore[arg-type]


def test_tables_that_cannot_be() -> None:
    table = survey()
    with pytest.raises(PhotcodeError, match="twice"):
        table.add("g", PhotClass.SEC)
    with pytest.raises(PhotcodeError, match="twice"):
        table.add("h", PhotClass.SEC, code=1)
    with pytest.raises(PhotcodeError, match="no SEC"):
        table.add("CAM.g", PhotClass.DEP, filter_name="GAIA.G")
    with pytest.raises(PhotcodeError, match="not in the table"):
        table.extend([Photcode(50, "CAM.u", PhotClass.DEP, equiv=49)])
    with pytest.raises(UnknownPhotcodeError):
        table.add("CAM.u", PhotClass.DEP, filter_name="u")


def test_alternates_share_the_code_of_their_average() -> None:
    table = survey().extend([Photcode(1, "g_alt", PhotClass.ALT, zero_point=0.1)])
    assert table.get_code(1).name == "g"
    assert table.get("g_alt").code == 1
    with pytest.raises(PhotcodeError, match="no SEC"):
        survey().extend([Photcode(4, "alt", PhotClass.ALT)])


def test_equal_tables_are_compared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def table(zero_point: float) -> PhotcodeTable:
        plain = PhotcodeTable().add("g", PhotClass.SEC)
        return plain.add("X.g", PhotClass.DEP, filter_name="g", zero_point=zero_point)

    one, two, other = table(25.0), table(25.0), table(25.1)
    assert (one == two, one == other, hash(one) == hash(two)) == (True, False, True)
    assert {one: "found"}[two] == "found"
    assert one != "g"
    monkeypatch.setattr(Photcode, "__eq__", None)
    monkeypatch.setattr(Photcode, "key", None)
    assert (one == two, one == other, hash(one) == hash(two)) == (True, False, True)


def test_columns_round_trip() -> None:
    table = survey().extend(
        [
            Photcode(
                70,
                "CAM.i",
                PhotClass.DEP,
                zero_point=24.1234567,
                color_codes=(1, 2),
                color_terms=(0.1, -0.2),
                color_offset=0.5,
                equiv=3,
                astrom_err_sys=0.01,
                photom_bad_mask=0xFFFFFFFF,
            ),
            Photcode(1, "g_alt", PhotClass.ALT),
        ]
    )
    columns = table.to_columns()
    assert tuple(columns) == PHOTCODE.names
    for column in PHOTCODE.columns:
        assert columns[column.name].dtype == column.numpy_dtype
        assert len(columns[column.name]) == len(table)
    assert PhotcodeTable.from_columns(columns) == table
    assert PhotcodeTable.from_columns(PhotcodeTable().to_columns()) == PhotcodeTable()


def test_columns_of_a_bad_file() -> None:
    columns = survey().to_columns()
    columns["type"] = np.full(6, 77, np.uint8)
    with pytest.raises(PhotcodeError, match="row 0"):
        PhotcodeTable.from_columns(columns)
