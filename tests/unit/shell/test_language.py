"""The language of the shell: expressions, variables, blocks, macros, and where errors are shown."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvo.errors import DvoError, ScriptError, StorageError
from dvo.shell.arithmetic import evaluate, text_of_number
from dvo.shell.expression import parse_expression
from dvo.shell.place import Place
from dvo.shell.script import IncompleteError, is_complete, parse_script
from tests.shell_session import open_session


@pytest.fixture
def session(tmp_path):
    with open_session(tmp_path / "nothing") as found:  # no word of these asks a database
        yield found


def worked_out(text, **names):
    place = Place("", 1, text)
    return evaluate(parse_expression(text, place), place, names.get)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("2^3^2", 512.0),
        ("-2^2", -4.0),
        ("2^-1", 0.5),
        ("7 / 2", 3.5),
        ("7 % 4 - -7 % 4", 6),
        ("1 @ 1", 45.0),
        ("6 & 3 | 8", 10),
        ("0x10 & 0x1f", 16),
        ("3 << 5", 3),
        ("3 >> 5", 5),
        ("1 < 2 && 2 < 1", 0),
        ("1 < 2 || 2 < 1", 1),
        ("not(3 > 2)", 0),
        ("2 > 1 ? 10 : 20", 10),
        ('"a" == "a"', 1),
        ('"a" != "b"', 1),
        ('"1" == 1', 0),
        ("max(2, 5) + min(2, 5)", 7),
        ("dsin(30)", 0.5),
        ("ten(2) + log(100)", 102.0),
        ("int(-2.7)", -2.0),
        ("isnan(0 / 0)", 1),
        ("erf(0) + lgamma(3)", math.log(2.0)),
        ("datan2(1, 1)", 45.0),
        (".5e1", 5.0),
    ],
)
def test_expressions(text, value):
    assert worked_out(text) == pytest.approx(value, rel=1e-12)


def test_vectors_element_by_element(rng):
    a, b = rng.normal(size=50), rng.normal(size=50)
    found = worked_out("sqrt(a^2 + b^2) * (a > 0) + v[]", a=a, b=b, v=np.arange(7))
    np.testing.assert_allclose(found, np.hypot(a, b) * (a > 0) + 7, rtol=1e-12)
    assert worked_out("a[-1] - a[0]", a=a) == a[-1] - a[0]
    assert worked_out("g:ave - GPC1.r.XY33:rel", **{"g:ave": 3.0, "GPC1.r.XY33:rel": 1.0}) == 2.0
    assert worked_out("2MASS_J + 1", **{"2MASS_J": 1}) == 2


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_numbers_come_back_from_their_texts(value):
    assert float(text_of_number(value)) == pytest.approx(value, rel=1e-14)


@pytest.mark.parametrize(
    ("text", "message", "caret"),
    [
        ("a +", "ends too soon", 3),
        ("(1 + 2", "ends too soon", 6),
        ("1 + ) 2", "does not expect ')'", 4),
        ("1 $ 2", "does not expect '$'", 2),
        ("1 + nope", "no vector or variable 'nope'", 4),
        ("sqt(2)", "did you mean sqrt", 0),
        ("max(1)", "takes 2 values, not 1", 0),
        ("a[99]", "has 3 elements", 0),
        ("a + b", "vectors of 2 and 3 elements", 2),
        ('"x" + 1', "text can only be compared", 4),
        ("-" * 500 + "1", "nested too deeply", None),
        ("1" + "+1" * 500, "nested too deeply", None),
    ],
)
def test_errors_of_expressions_show_the_place(text, message, caret):
    with pytest.raises(ScriptError) as caught:
        worked_out(text, a=np.arange(3), b=np.arange(2))
    said = str(caught.value).splitlines()
    assert message in said[0]
    if caret is not None:
        assert said[2].index("^") == 2 + caret


def test_brackets_may_be_deep_where_nothing_is_deep_for_it():
    assert worked_out("(" * 5000 + "1" + ")" * 5000) == 1


def test_variables(session):
    session.run('$x = 2; $y = {$x * 3}; $x ++; $y += 10; $name = "g"; $w = some words')
    assert session.variables == {"x": "3", "y": "16", "name": "g", "w": "some words"}
    assert (
        session.run("echo $x $?x $?z $name\\:ave {$x / 2} $name:ave") == "3 1 0 g:ave 1.5 g:ave\n"
    )
    session.run("$R_left = 7; $KEY = left")
    assert session.run("echo $R_$KEY") == "7\n"
    session.run("$ref = x")
    assert session.run("echo $$ref") == "3\n"


def test_set_makes_vectors_and_variables(session):
    session.run("create v 0 4; set w = v * 2; set total = w[1] + w[3]; w[0] = 5")
    assert session.vectors["w"].tolist() == [5, 2, 4, 6]
    assert session.variables["total"] == "8"
    assert session.run("echo {total + 1} {w[]}") == "9 4\n"


LOOPS = """
macro count
  local k
  for k 0 $1
    if ($k == 1) next
    if ($k > 3)
      break
    else
      echo "k $k"
    end
  end
  if ($0 > 2) return
  echo done
end
$k = old
count 9
count 9 more
echo $k
foreach f g r
  foreach l ave err
    echo $f\\:$l
  end
end
$n = 0
while ($n < 2)
  $n ++
end
echo $n
for i 3 0 -1
  echo $i
end
list L -add a
list L -add b c
list M
  first line
  second
end
echo $L:n $L:2 / $M:1
list S -split "p q r"
for i 0 $S:n
  echo $S:$i
end
"""


def test_blocks_macros_and_lists(session):
    assert session.run(LOOPS).split("\n") == [
        "k 0", "k 2", "k 3", "done", "k 0", "k 2", "k 3", "old", "g:ave", "g:err", "r:ave", "r:err",
        "2", "3", "2", "1", "3 c / second", "p", "q", "r", "",
    ]  # fmt: skip


def test_vector_words(session):
    session.run("""
        create x 0 10
        subset odd = x if (x % 2 == 1) && (x > 2)
        set y = 0 - x
        sort y x
        concat odd odd
        uniq odd u
        histogram x h 0 10 5
        create i 0 3
        reindex r = x using i
        vstat -q u
    """)
    v = session.vectors
    assert v["odd"].tolist() == [3, 5, 7, 9] * 2
    assert (v["y"].tolist(), v["x"].tolist()) == (list(range(-9, 1)), list(range(9, -1, -1)))
    assert v["u"].tolist() == [3, 5, 7, 9]
    assert v["h"].tolist() == [5, 5]
    assert v["r"].tolist() == [9, 8, 7]
    assert (session.variables["MEAN"], session.variables["NPTS"]) == ("6", "4")
    assert session.run('sprintf t "%05.2f|%s|%d%%" 3.14159 abc 7; echo $t') == "03.14|abc|7%\n"


def test_vectors_go_to_files_and_come_back(session, tmp_path):
    path = tmp_path / "v.txt"
    session.run(f"create a 0 5; set b = a / 4; write {path} a b; read {path} c 1 d 2")
    np.testing.assert_array_equal(session.vectors["d"], session.vectors["b"])
    with pytest.raises(StorageError, match="exists already"):
        session.run(f"write {path} a")


def test_input_runs_a_file_and_names_it_in_errors(session, tmp_path):
    (tmp_path / "a.dvo").write_text("macro twice\n  set $1 = $1 * 2\nend\n")
    (tmp_path / "b.dvo").write_text(f"input {tmp_path}/a.dvo\ncreate v 0 3\ntwice v\n\nfoo v\n")
    with pytest.raises(ScriptError, match=r"b\.dvo, line 5: there is no word 'foo'"):
        session.run(f"input {tmp_path}/b.dvo")
    assert session.vectors["v"].tolist() == [0, 2, 4]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("echo $nope", "there is no variable $nope"),
        ("echo $1", "there is no macro here"),
        ("avextrct ra", "did you mean avextract"),
        (".mod csv", "did you mean .mode"),
        (".mode cvs", "one of table, csv"),
        ("break", "belongs into a loop"),
        ("else", "belongs to no 'if'"),
        ("end", "nothing is open"),
        ('echo "open', "this quote is not closed"),
        ("echo {1 + 2", "curly bracket is not closed"),
        ("if (1", "this bracket is not closed"),
        ("for i 0 10 0\nend", "never ends"),
        ("create x 0 1e12", "at most"),
        ("create x 0 nan", "no number"),
        ("macro echo\nend", "is a word of the shell"),
        ("macro a\n  a\nend\na", "too deep into each other"),
        ("for i 0 1\n" * 60, "nested more than 50 deep"),
        ("list v -x ls", "programs are not run"),
        ("$x = `ls`", "programs are not run"),
        ("plot a b", "there is no vector 'a'"),
        ("create x 0 3; create y 0 4; set z = x + y", "3 and 4 elements"),
        ("create x 0 3; set x = 5", "is a vector of 3 elements"),
        ("input /nowhere/at/all", "cannot be read"),
        ("input /", "cannot be read"),
        ("input /dev/zero", "this is no script"),
        ("help nope", "there is no word 'nope'"),
        ("vstat", "write: vstat"),
        ("sort -zz x", "has no option -zz"),
        ("\0", "NUL"),
    ],
)
def test_what_is_wrong_is_said(session, text, message):
    with pytest.raises(DvoError) as caught:
        session.run(text)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_a_line_that_grows_without_end_is_refused(session):
    with pytest.raises(ScriptError, match="grows without end"):
        session.run("$a = b\nfor i 0 60\n  $a = $a $a\nend")


def test_a_long_line_is_no_danger(session):
    session.run("$a = " + "1 + " * 100 + "1")
    assert session.variables["a"] == "101"
    with pytest.raises(DvoError) as caught:
        session.run("foo " + "x" * 1_000_000)
    assert len(str(caught.value)) < 1000
    with pytest.raises(DvoError, match="at most"):
        session.run("set x = " + "1 +" * 100_000)


def test_an_error_ends_a_script_and_what_was_done_stays(session):
    with pytest.raises(ScriptError, match="line 2"):
        session.run("$a = 1\nfoo\n$a = 2")
    assert session.variables["a"] == "1"


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("echo a", True),
        ("SELECT 1", False),
        ("SELECT 1;", True),
        ("SELECT 1\nFROM x", False),
        ("SELECT 1\nFROM x\n", True),
        ("SELECT ';'", False),
        ("if (1)", False),
        ("if (1)\necho a\nend", True),
        ("if (1) echo a", True),
        ("macro a\nSELECT 1;", False),
        ("echo a \\", False),
        ("echo 'a", True),
        ("end", True),
    ],
)
def test_more_is_asked_for_until_a_statement_is_whole(text, whole):
    assert is_complete(text) is whole


def test_an_open_block_at_the_end_of_a_script_is_an_error():
    with pytest.raises(IncompleteError, match="this 'while' has no 'end'"):
        parse_script("while (1)\n echo a\n", "s")


def test_every_word_has_help_and_every_help_a_word(session):
    said = session.run("help")
    words = session.shell.interpreter.words
    for name in words:
        assert f"  {name} " in said
        assert session.run(f"help {name}").startswith(name)
    for name in session.shell.interpreter.dots:
        assert f"  {name} " in session.run(".help")
