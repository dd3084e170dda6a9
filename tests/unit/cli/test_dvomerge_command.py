"""dvomerge: what it says."""

from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner

from dvo.cli.dvomerge import dvomerge
from dvo.cli.main import dvo_command
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


@pytest.mark.parametrize(
    "words", ["dvo.cli.main cone", "dvo.cli.addstar", "dvo.cli.dvomerge", "dvo.cli.relphot"]
)
def test_short_help(words):
    module, *rest = words.split()
    program = f"import sys; from {module} import main; sys.argv = ['it', *{rest}, '-h']; main()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Usage: it")
