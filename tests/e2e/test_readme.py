"""Every command and program that the documentation shows is run, page by page.

Blocks marked ``sh`` and ``python`` are run in their order, in one folder a page; blocks
marked otherwise (``bash``, ``text``) are not. Some pages go on from the quickstart.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
_BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


def run_page(page, folder):
    blocks = _BLOCK.findall((ROOT / page).read_text())
    assert blocks, f"{page} has no commands to run"
    programs = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    for language, text in blocks:
        command = ["bash", "-eu", "-c", text] if language == "sh" else [sys.executable, "-c", text]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{page}:\n{text}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr, f"{page}:\n{text}\n{done.stderr}"


@pytest.fixture(scope="module")
def after_quickstart(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quickstart")
    run_page("docs/quickstart.md", folder)
    return folder


def test_tour_of_the_readme(tmp_path):
    run_page("README.md", tmp_path)
    assert (tmp_path / "star.png").stat().st_size > 5000
    assert (tmp_path / "measures.fits").exists()


def test_quickstart(after_quickstart):
    assert (after_quickstart / "measures.parquet").exists()
    assert (after_quickstart / "objects.vot").exists()


@pytest.mark.parametrize(
    "page",
    [
        "docs/python.md",
        "docs/queries.md",
        "docs/shell.md",
        "docs/operators.md",
        "docs/fits.md",
        "docs/merging.md",
        "docs/calibration.md",
        "docs/publishing.md",
        "docs/variability.md",
        "docs/reshaping.md",
        "docs/satellites.md",
        "docs/exchange.md",
        "docs/scale.md",
    ],
)
def test_pages_that_go_on_from_the_quickstart(page, after_quickstart, tmp_path):
    shutil.copytree(after_quickstart, tmp_path / "quickstart")
    run_page(page, tmp_path / "quickstart")


def test_links_of_the_readme_lead_somewhere():
    for target in _LINK.findall((ROOT / "README.md").read_text()):
        assert (ROOT / target).exists(), target
