"""Right answers or one clear error, whatever the network does: a thousand seeds."""

from __future__ import annotations

import pytest

from dvo.errors import DvoError, HostError, StorageError, UnknownColumnError
from tests.fault.network import N_GROUPS, REFUSED, SNAPSHOT, World, answer

SEEDS = range(1200)
CHUNK = 100


def run(seed: int) -> tuple[World, int]:
    """Two jobs in one world; gives how many groups ended in an error of the network."""
    world = World(seed)
    n_lost = 0
    for request in ("answer", "refuse"):
        for group, found in world.ask(request).items():
            if isinstance(found, StorageError):
                assert world.weather.bad_disk
                n_lost += not world.weather.replicas
            elif isinstance(found, HostError):
                n_lost += 1
                assert "host" in str(found)
            elif request == "refuse" and group == REFUSED:
                assert isinstance(found, UnknownColumnError)
            else:
                assert not isinstance(found, DvoError), found
                assert found.equals(answer(group, SNAPSHOT)[0]), f"group {group}"
    return world, n_lost


def look_at_quiet_world(seed, world):
    """Nothing waits for silence, and hosts forget jobs that are done; how much was done again."""
    assert world.now < 8.0, f"seed {seed}: took {world.now} s"
    world.pass_time(1.0)
    for host in world.hosts.values():
        assert not any(peer.queries for peer in host._peers.values()), f"seed {seed}: jobs are kept"
    return world.worked.total() - len(world.worked)


@pytest.mark.parametrize("first", SEEDS[::CHUNK])
def test_right_or_an_error(first):
    n_lost = n_calm = n_quiet = n_again = 0
    for seed in range(first, first + CHUNK):
        try:
            world, lost = run(seed)
        except BaseException:
            print(f"seed {seed}")
            raise
        w = world.weather
        is_calm = w.drop == w.damage == w.lies == 0 and w.deaths == 0 and w.delay_s < 0.5
        is_calm &= w.replicas or not w.bad_disk
        assert not (is_calm and lost), f"seed {seed}: lost {lost} groups in fine weather"
        if w.is_quiet and not world.frozen and not w.bad_disk:
            assert not lost, f"seed {seed}: lost {lost} groups though hosts came back at once"
        if w.is_quiet and not w.deaths and not w.bad_disk:
            n_again += look_at_quiet_world(seed, world)
            n_quiet += 1
        n_lost += lost
        n_calm += is_calm
        world.rest()
        for host in world.hosts.values():
            assert not list(host._tasks()), f"seed {seed}: a host keeps what nobody wants"
            assert not host._peers
    assert n_calm > 0
    assert n_quiet > 0
    # A doubled message that overtakes the job that it is about may have a group done again.
    assert n_again <= 1
    assert 0 < n_lost < CHUNK * 2 * N_GROUPS * 0.15
