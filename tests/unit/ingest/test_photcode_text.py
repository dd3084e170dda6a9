"""The original's text form of the photcode table."""

import math
from pathlib import Path

import pytest

from dvo.errors import PhotcodeError, StorageError
from dvo.ingest.photcode_text import (
    format_photcodes,
    parse_photcodes,
    read_photcodes,
    write_photcodes,
)
from dvo.tables.photcode import PhotClass, Photcode, PhotcodeTable

TEXT = """\
# code name type zero airmass offset c1 c2 slope color primary
  1  g            pri   0.000  0.0   0.0  - - 0      -    -
  2  r            sec   0.000  0.0   0.0  - - -      -    - 0.01 1.0 0.0

 10  GPC1.g.XY01  dep  24.563 -0.147 0.0  g r 0.01,-0.002 0.6 g 0.010 1.5 0.1 0.005
 11  GPC1.r.XY01  dep  24.750 -0.085 0.0  1 2 0.01   0.6  2 0 0 0 0.005 0x10 32
 12  GPC1.r.XY02  DEP  24.750 -0.085 0.0  - - -      -    r 0 0 0 0.005 0x10 0x20 0x3 0x1000
 20  2MASS.J      ref   1.0    2.0   3.0  - - -      -    -
  1  g_alt        alt   0.100  0.0   0.0  - - -      -    -
"""


def test_all_lengths_and_comments() -> None:
    table = parse_photcodes(TEXT)
    assert [p.name for p in table.sec] == ["g", "r"]
    g01 = table.get("GPC1.g.XY01")
    assert (g01.zero_point, g01.airmass_slope) == (24.563, 0.147)
    assert g01.color_codes == (1, 2)
    assert g01.color_terms == (0.01, -0.002)
    assert g01.equiv == 1
    assert g01.photom_err_sys == 0.005
    r01 = table.get("GPC1.r.XY01")
    assert (r01.astrom_poor_mask, r01.astrom_bad_mask) == (16, 32)
    assert table.get("GPC1.r.XY02").photom_bad_mask == 0x1000
    assert table.get("g_alt").kind is PhotClass.ALT
    assert table.get("2MASS.J").zero_point == 0


def test_lines_of_a_real_table() -> None:
    # From the photcodes of the original's survey: NaN errors, '#' in a name, other equivalents.
    text = """\
# airmass color
  1 g sec 0.000 0.000 0.000 1 3 0.0000 0 1051 0 0 0 0 0x0000 0x0000 0x0000 0x0000
  3 i sec 0.000 0.000 0.000 - - 0.0000 0 - 0 0 0 0 0x0000 0x0000 0x0000 0x0000
  1051 g_SDSS ref 0.000 0.000 0.000 - - 0.0000 0 - 0 0 0 0 0x0000 0x0000 0x0000 0x0000
  1116 USNO.103AE.#12 dep 20.000 0.000 0.000 - - 0.0000 0 - 0 0 0 0 0x0000 0x0000 0x0000 0x0000
  # ICRF QSOs have astrometric error stored in dX,dY as 1/100th mas
  3001 SYNTH.g ref 0.000 0.000 0.000 - - 0.0000 0 1 nan 0 2.000 0.6 0x0000 0x0000 0x0000 0 # end
  100 MEGACAM.u.00 dep 25.280 -0.350 0.000 - - 0.0000 0 - 0 0 1.000 0 0x0000 0x3888 0x0000 0x0000
"""
    table = parse_photcodes(text)
    assert len(table) == 6
    assert table.get("MEGACAM.u.00").airmass_slope == 0.35
    assert table.get("MEGACAM.u.00").astrom_bad_mask == 0x3888
    assert math.isnan(table.get("SYNTH.g").astrom_err_sys)
    assert table.get("g").equiv == 1051
    assert parse_photcodes(format_photcodes(table)) == table
    assert PhotcodeTable.from_columns(table.to_columns()) == table
    assert len(set(table)) == 6


def test_names_may_be_used_before_their_line() -> None:
    table = parse_photcodes(
        "5 C.g dep 25 0 0 g r 0.1 0 g\n1 g sec 0 0 0 - - - - -\n2 r sec 0 0 0 - - - - -"
    )
    assert table.get("C.g").equiv == 1


def test_round_trip_is_exact(tmp_path: Path) -> None:
    table = parse_photcodes(TEXT)
    assert parse_photcodes(format_photcodes(table)) == table
    write_photcodes(table, tmp_path / "p.txt")
    assert read_photcodes(tmp_path / "p.txt") == table
    odd = PhotcodeTable(
        (Photcode(7, "x", PhotClass.DEP, zero_point=1 / 3, astrom_err_scale=1e-17),)
    )
    assert parse_photcodes(format_photcodes(odd)) == odd
    assert parse_photcodes(format_photcodes(PhotcodeTable())) == PhotcodeTable()


def test_lines_are_as_short_as_they_can_be() -> None:
    lines = format_photcodes(parse_photcodes(TEXT)).splitlines()[1:]
    assert [len(line.split()) for line in lines] == [11, 14, 15, 17, 19, 11, 11]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("1 g sec 0 0 0 - - - -", "10 words"),
        ("1 g foo 0 0 0 - - - - -", "type 'foo'"),
        ("one g sec 0 0 0 - - - - -", "code is 'one'"),
        ("1 g sec zero 0 0 - - - - -", "zero is 'zero'"),
        ("0 g sec 0 0 0 - - - - -", "1 to 65535"),
        ("1 g sec 0 0 0 u - - - -", "c1 is 'u'"),
        ("1 MAG sec 0 0 0 - - - - -", "reserved"),
        ("1 g sec 0 0 0 - - 1,2,3,4,5 - -", "colour terms"),
        ("1 g sec nan 0 0 - - - - -", "finite"),
        ("1 g sec 0 0 0 - - - - - 0 0 0 0 0x1 0xzz", "aBad is '0xzz'"),
    ],
)
def test_bad_lines_name_file_line_and_fault(tmp_path: Path, line: str, what: str) -> None:
    path = tmp_path / "bad.photcodes"
    path.write_text(f"# comment\n{line}\n")
    with pytest.raises(PhotcodeError) as caught:
        read_photcodes(path)
    assert "bad.photcodes, line 2" in str(caught.value)
    assert what in str(caught.value)


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(PhotcodeError, match=r"absent: no such file$"):
        read_photcodes(tmp_path / "absent")
    with pytest.raises(PhotcodeError, match=r"cannot be read \(Is a directory\)"):
        read_photcodes(tmp_path)
    with pytest.raises(StorageError, match="cannot be written"):
        write_photcodes(PhotcodeTable(), tmp_path / "absent" / "photcodes.txt")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PhotcodeError, match="binary"):
        read_photcodes(tmp_path / "binary")
    with pytest.raises(PhotcodeError, match="stands twice"):
        parse_photcodes("1 g sec 0 0 0 - - - - -\n1 r sec 0 0 0 - - - - -")
