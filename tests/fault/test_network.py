"""Right answers or one clear error, whatever the network does: a thousand seeds."""

from __future__ import annotations

import pytest

from dvo.errors import DvoError, HostError, UnknownColumnError
from tests.fault.network import N_GROUPS, REFUSED, SNAPSHOT, World, answer

SEEDS = range(1200)
CHUNK = 100


def run(seed: int) -> tuple[World, int]:
    """Two jobs in one world; gives how many groups ended in an error of the network."""
    world = World(seed)
    n_lost = 0
    for request in ("answer", "refuse"):
        for group, found in world.ask(request).items():
            if isinstance(found, HostError):
                n_lost += 1
                assert "host" in str(found)
            elif request == "refuse" and group == REFUSED:
                assert isinstance(found, UnknownColumnError)
            else:
                assert not isinstance(found, DvoError), found
                assert found.equals(answer(group, SNAPSHOT)[0]), f"group {group}"
    return world, n_lost


@pytest.mark.parametrize("first", SEEDS[::CHUNK])
def test_right_or_an_error(first):
    n_lost = n_calm = 0
    for seed in range(first, first + CHUNK):
        try:
            world, lost = run(seed)
        except BaseException:
            print(f"seed {seed}")
            raise
        w = world.weather
        is_calm = w.drop == w.damage == w.lies == 0 and w.deaths == 0 and w.delay_s < 1.0
        assert not (is_calm and lost), f"seed {seed}: lost {lost} groups in fine weather"
        n_lost += lost
        n_calm += is_calm
        world.rest()
        for host in world.hosts.values():
            assert not list(host._tasks()), f"seed {seed}: a host keeps what nobody wants"
            assert not host._peers
    assert n_calm > 0
    assert 0 < n_lost < CHUNK * 2 * N_GROUPS * 0.15
