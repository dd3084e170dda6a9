"""Times as MJD come back with the digits that they were given with."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dvo.ingest.as_matched import split_time
from dvo.mjd import mjd_of


@given(st.integers(-25_000_000, 75_000_000))
def test_a_thousandth_of_a_day_comes_back(thousandths):
    mjd = thousandths / 1000.0
    assert mjd_of(*split_time([mjd])).tolist() == [mjd]
