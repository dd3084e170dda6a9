"""The command dvo regions."""

import json

import pytest
from click.testing import CliRunner

from dvo.cli.regions import regions


def run(*words: str) -> str:
    result = CliRunner().invoke(regions, list(words), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize(
    ("words", "count"),
    [(["--level", "3"], 9499), (["--level", "4"], 151984), (["--pure-gsc"], 9537)],
)
def test_counts(words: list[str], count: int) -> None:
    assert int(run(*words, "--count").split()[-1]) == count


def test_one_region_as_json() -> None:
    row = json.loads(run("--level", "4", "--at", "360", "0", "--json"))
    assert (row["name"], row["ra_min"], row["dec_max"]) == ("n0000/0001.00", 0.0, 0.625)
    assert json.loads(run("--name", "n0000/0001.00", "--json")) == row


def test_listing() -> None:
    lines = run("--level", "1").splitlines()
    assert lines[0].startswith("# index name")
    assert len(lines) == 25


def test_pure_listing() -> None:
    assert run("--pure-gsc").splitlines()[1] == "1 n0000/0001 0.0 2.5 0.0 2.5 1"


def test_misuse() -> None:
    assert CliRunner().invoke(regions, ["--pure-gsc", "--name", "n0000"]).exit_code == 2
