"""`dvo shell` as a person uses it, through a pseudo-terminal, and as a script does."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

from tests.synth import filled_database

pytestmark = pytest.mark.slow

DVO = Path(sys.executable).with_name("dvo")
# Where a line has been typed, and where one is begun: prompts and what was typed may be drawn
# again at any time.
ANSWER = r"\x1b\[\?2004l"
PROMPT = r"\x1b\[\?2004h.*?sky>"


@pytest.fixture(scope="module")
def catdir(tmp_path_factory):
    return filled_database(tmp_path_factory.mktemp("shell") / "sky")


@pytest.fixture
def environment(tmp_path):
    return {
        **os.environ, "XDG_STATE_HOME": str(tmp_path), "TERM": "xterm-256color",
        "PROMPT_TOOLKIT_NO_CPR": "1", "PAGER": "cat",
    }  # fmt: skip


class Person:
    """Somebody at a terminal."""

    def __init__(self, catdir, environment, folder):
        self.terminal = pexpect.spawn(
            str(DVO), ["shell", str(catdir)], env=environment, cwd=str(folder), encoding="utf-8",
            dimensions=(40, 120), timeout=30,
        )  # fmt: skip
        self.wait(PROMPT)

    def wait(self, pattern):
        self.terminal.expect(pattern)
        return self.terminal.before + self.terminal.after

    def type(self, text, pattern, *, enter=True):
        """Type a line, and wait for something that comes of it."""
        self.terminal.send(text + ("\r" if enter else ""))
        return self.wait(pattern)

    def ask(self, text, pattern):
        """Type a line that is carried out, and wait until there is a prompt again."""
        said = self.type(text, pattern)
        return said + self.wait(PROMPT)

    def give_up_line(self):
        self.terminal.sendintr()
        self.wait(PROMPT)

    def leave(self):
        self.terminal.sendeof()
        self.terminal.expect(pexpect.EOF)
        self.terminal.close()
        return self.terminal.exitstatus


@pytest.fixture
def person(catdir, environment, tmp_path):
    found = Person(catdir, environment, tmp_path)
    yield found
    found.terminal.close(force=True)


def test_queries_and_words_side_by_side(person):
    person.type("SELECT COUNT(*) AS n, MIN(ra)", r"\.\.\.")  # more is to come
    person.ask("FROM average;", r"60 +112\.")
    person.ask("avextract ra,dec,g,r where (nmeas > 1)", "rows in ra, dec, g, r")
    person.ask("set c = g - r; vstat c", "NPTS")
    person.ask("lim c r; plot c r", "└─")
    assert person.leave() == 0


def test_errors_show_the_place_and_the_shell_goes_on(person):
    said = person.ask("avextract ra,dek", r"\^\^\^")
    assert "did you mean dec" in said
    person.ask("SELECT rra FROM average;", "did you mean ra")
    person.ask("SELECT ra FROM average WHERE (ra > ;", "query: line 1, column")
    person.ask("set x = 1 +", "ends too soon")
    person.ask("echo st{2}ll", "st2ll")
    assert person.leave() == 0


def test_ctrl_c_stops_the_query_and_not_the_shell(person):
    person.terminal.send(
        "SELECT COUNT(*) AS n FROM measure AS a JOIN measure AS b ON a.ra < b.ra "
        "JOIN measure AS c ON b.ra < c.ra JOIN measure AS d ON c.ra < d.ra "
        "JOIN measure AS e ON d.dec < e.dec;\r"
    )
    person.wait("Ctrl-C stops")
    person.terminal.sendintr()
    person.wait("cancelled")
    person.ask("SELECT COUNT(*) AS n FROM image;", r"\b4\b")
    person.type("macro forever", r"\.\.\.")
    person.type("echo ro{2}nd", r"\.\.\.")
    person.type("while (1)", r"\.\.\.")
    person.type("$x ++", r"\.\.\.")
    person.type("end", r"\.\.\.")
    person.type("end", PROMPT)
    person.type("forever", "ro2nd")
    person.terminal.sendintr()
    person.wait("stopped")
    person.wait(PROMPT)
    person.ask("echo ag{2}in", "ag2in")
    person.terminal.send("half a line")
    person.give_up_line()
    person.ask("echo wh{2}le", "wh2le")
    assert person.leave() == 0


def test_completion_knows_words_columns_and_photcodes(person):
    person.ask("echo r{2}ady", "r2ady")  # the database is open
    # What was begun stands there; the rest of the word comes.
    person.type("SELECT COUNT(*) AS n FROM aver\t", "age", enter=False)
    person.ask(";", "60")
    person.type("avex\t", "tract", enter=False)
    person.type(" ra,g:e\t", "rr", enter=False)
    person.ask(" where (nmeas > 1); vectors", r"g:err +\d+ float")
    person.type(".maxr\t", "ows", enter=False)
    person.type(" 5", PROMPT)
    person.ask(".maxrows", ANSWER + r"5\r")
    assert person.leave() == 0


def test_history_stays_for_the_next_time(person, catdir, environment, tmp_path):
    person.ask("echo rem{2}mber", "rem2mber")
    assert person.leave() == 0
    assert "echo rem{2}mber" in (tmp_path / "dvo" / "history").read_text()
    assert (tmp_path / "dvo" / "history").stat().st_mode & 0o077 == 0
    again = Person(catdir, environment, tmp_path)
    again.terminal.send("\x1b[A\r")  # the arrow upwards
    again.wait("rem2mber")
    again.wait(PROMPT)
    assert again.leave() == 0


def test_dot_commands(person, tmp_path):
    person.type(".timer on", PROMPT)
    person.ask("SELECT TOP 3 ra FROM average;", r"s, 3 rows")
    person.type(".maxrows 2", PROMPT)
    person.ask("SELECT ra FROM average;", "and more rows")
    person.ask(".explain SELECT ra FROM average", ". of . regions")
    person.type(".mode json", PROMPT)
    person.type(".output out.json", PROMPT)
    person.ask("SELECT TOP 2 obj_id FROM average ORDER BY obj_id;", "2 rows")
    person.ask(".output", "wrote out.json")
    assert len(json.loads((tmp_path / "out.json").read_text())) == 2
    person.ask(".output out.json", "exists already")
    person.ask(".schema average", "right ascension")
    person.terminal.sendline(".quit\r")
    person.terminal.expect(pexpect.EOF)


def test_rows_wider_than_the_terminal_are_shown_one_below_the_other(person):
    said = person.ask("SELECT * FROM average LIMIT 2;", "row 2 of 2")
    assert re.search(r"ra +112\.\d+  \[deg\]", said)
    said = person.ask("SELECT ra, dec FROM average LIMIT 2;", r"\[deg\] +\[deg\]")
    assert "row 1" not in said
    person.type(".expanded on", PROMPT)
    person.ask("SELECT 5 AS five, 6 AS six;", r"five  5")
    person.ask(".expanded", ANSWER + r"on\r")
    assert person.leave() == 0


def test_a_folder_that_is_no_database_is_refused(environment, tmp_path):
    done = subprocess.run([DVO, "shell", tmp_path, "-c", "echo a"], env=environment,
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 1
    assert "dvo:" in done.stderr
    assert "Traceback" not in done.stderr


def shell(catdir, *words, stdin="", **options):
    return subprocess.run(
        [DVO, "shell", catdir, *words], input=stdin, capture_output=True, text=True, timeout=100,
        **options,
    )  # fmt: skip


def test_scripts_from_options_files_and_stdin(catdir, tmp_path):
    script = tmp_path / "a.dvo"
    script.write_text("echo from $where\nSELECT COUNT(*) AS n\nFROM image")
    done = shell(catdir, "-c", "$where = here", "-f", script, "--format", "csv")
    assert done.stdout.splitlines() == ["from here", '"n"', "4"]
    assert done.returncode == 0
    done = shell(catdir, stdin="SELECT COUNT(*) AS n FROM average\n\necho done")
    assert done.stdout.split() == ["n", "60", "done"]
    assert "\x1b" not in done.stdout + done.stderr  # no colours, no bar


def test_a_script_ends_at_its_first_error(catdir):
    done = shell(catdir, stdin="echo one\nfoo\necho two\n")
    assert done.returncode == 1
    assert done.stdout == "one\n"
    assert (
        done.stderr.splitlines()[0] == "dvo: line 2: there is no word 'foo'; help lists the words"
    )


def test_misuse(catdir):
    assert shell(catdir, "--nope").returncode == 2
    assert shell(catdir, "-i", "/nowhere").returncode == 1
    assert shell(catdir, "-c", "quit", "-c", "echo never").stdout == ""
    assert (
        shell(
            catdir, stdin="echo \udcff".encode("utf-8", "surrogateescape").decode("latin-1")
        ).returncode
        == 0
    )


@pytest.mark.parametrize(
    ("form", "start"),
    [("csv", '"n"'), ("json", "[{"), ("table", "n\n4")],
)
def test_forms(catdir, form, start):
    done = shell(catdir, "--format", form, "-c", "SELECT COUNT(*) AS n FROM image")
    assert done.stdout.startswith(start)


def test_binary_forms_need_a_file(catdir, tmp_path):
    done = shell(catdir, "-c", f".mode fits\n.output {tmp_path}/a.fits\nSELECT ra FROM average;\n"
                 "SELECT dec FROM average")  # fmt: skip
    assert "holds one answer" in done.stderr
    assert (tmp_path / "a.fits").read_bytes().startswith(b"SIMPLE")
    assert "not for the screen" in shell(catdir, "--format", "fits", "-c", "SELECT 1 AS a").stderr


def test_csv_is_written_piece_by_piece_with_one_line_of_names(catdir, tmp_path):
    shell(catdir, "-c", f".mode csv\n.output {tmp_path}/a.csv\nSELECT ra, dec FROM measure")
    lines = (tmp_path / "a.csv").read_text().splitlines()
    assert sum(not re.match(r"[\d.]", line) for line in lines) == 1
    assert len(lines) > 60


def test_ctrl_c_ends_a_script(catdir):
    words = [DVO, "shell", catdir, "-c", "echo begun\nwhile (1)\n$x ++\nend"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped" in said
    assert "Traceback" not in said


def test_pictures_are_written(catdir, tmp_path):
    done = shell(
        catdir, cwd=tmp_path,
        stdin="region 112.5 15 0.4; paverage; skycat; png -name a.png\n"
        "SELECT ra, dec, g_mag FROM object;\n"
        ".plot ra dec b.png\n.hist g_mag 10 c.svg\n.density d.png\n.finder 112.5 15 20 e.png\n"
        ".plot ra g_mag\n",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for name in ("a.png", "b.png", "d.png", "e.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG"), name
    assert "<svg" in (tmp_path / "c.svg").read_text()
    assert "└──" in done.stdout
    done = shell(catdir, "-c", "SELECT ra, dec FROM average;\n.plot ra dec b.png", cwd=tmp_path)
    assert done.returncode == 0  # the same script again
    done = shell(catdir, "-c", "SELECT ra, dec FROM average;\n.plot ra dec b.txt", cwd=tmp_path)
    assert done.returncode == 1
