"""dvomerge: what it says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from dvo.cli.dvomerge import dvomerge
from dvo.cli.main import dvo_command
from dvo.partition.store import Store
from tests.synth import filled_database


@pytest.fixture
def merged(tmp_path):
    """An empty database, and one of three images."""
    source = filled_database(tmp_path / "source", n_images=3)
    target = tmp_path / "target"
    CliRunner().invoke(dvo_command, ["init", str(target), "--filters", "g,r"])
    return str(target), str(source)


def test_images_are_counted_and_the_check_says_how_it_ended(merged):
    first = CliRunner().invoke(dvomerge, [*merged, "--verify"])
    assert first.exit_code == 0, first.output
    lines = first.stdout.splitlines()
    assert lines[0].startswith(f"{merged[1]}: 3 images; ")
    assert lines[-1] == f"{merged[0]}: checked, no faults"
    again = CliRunner().invoke(dvomerge, list(merged))
    assert again.stdout == f"{merged[1]}: nothing new; 3 images are in already\n"


def test_an_engine_merges(merged):
    words = ["--engine", "processes", "--workers", "1"]
    with Store(Path(merged[1])) as source:
        view = source.view()
        box = view.sky.bounds(view.regions()[:1])[0]
        middle = [str((a + b) / 2) for a, b in (box[:2], box[2:]) for _ in range(2)]
    first = CliRunner().invoke(dvomerge, [*merged, *words, "--region", *middle])
    assert first.exit_code == 0, first.output
    assert "not finished" in first.stdout
    second = CliRunner().invoke(dvomerge, [*merged, *words, "--continue", "--verify"])
    assert second.exit_code == 0, second.output
    assert "not finished" not in second.stdout
    assert second.stdout.splitlines()[-1] == f"{merged[0]}: checked, no faults"
    again = CliRunner().invoke(dvomerge, list(merged))
    assert again.stdout == f"{merged[1]}: nothing new; 3 images are in already\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--dry-run", "--engine", "processes"], "--dry-run"), (["--workers", "2"], "--workers")],
)
def test_what_does_not_go_with_engines(merged, words, said):
    done = CliRunner().invoke(dvomerge, [*merged, *words])
    assert done.exit_code == 2
    assert said in done.stderr


@pytest.mark.parametrize(
    "words", ["dvo.cli.main cone", "dvo.cli.addstar", "dvo.cli.dvomerge", "dvo.cli.relphot"]
)
def test_short_help(words):
    module, *rest = words.split()
    program = f"import sys; from {module} import main; sys.argv = ['it', *{rest}, '-h']; main()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Usage: it")
