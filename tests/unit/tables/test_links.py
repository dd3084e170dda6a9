"""The order of measures: by object, then by time, equal ones as they were."""

from __future__ import annotations

import numpy as np
import pytest

from dvo.tables.kernels import rows_by_object


@pytest.mark.parametrize("n_objects", [1, 7, 300])
@pytest.mark.parametrize("n_times", [2, 10**6])
def test_measures_are_ordered_as_lexsort_does(rng, n_objects, n_times):
    """Many measures of one object, and few of many; most objects have none."""
    objects = rng.integers(0, n_objects, 1000) // 2
    time = rng.integers(-n_times, n_times, 1000)
    edges = np.concatenate([[0], np.cumsum(np.bincount(objects, minlength=n_objects))])
    np.testing.assert_array_equal(rows_by_object(objects, time, edges), np.lexsort((time, objects)))


def test_no_measures_have_an_order():
    nothing = np.empty(0, np.int64)
    assert rows_by_object(nothing, nothing, np.zeros(4, np.int64)).size == 0
