"""Keys, who may come in, the HostTable and what is assigned to hosts."""

from __future__ import annotations

import os
import stat
import struct
from collections import Counter
from contextlib import suppress

import numpy as np
import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st
from zmq.utils import z85

from dvo.errors import ConfigError, NotAuthorisedError, StorageError
from dvo.partition.assignment import Assignment, read_assignment
from dvo.partition.check import check
from dvo.partition.host_table import (
    HostEntry,
    get_host,
    is_key,
    is_local,
    read_host_table,
    write_host_table,
)
from dvo.partition.hosts.assign import assign
from dvo.partition.hosts.keys import Authority, make_keys, read_keys
from dvo.partition.sky_table import SkyTable
from dvo.partition.store import Store
from dvo.reshape.partition import split_regions
from tests.synth import filled_database

KEY = "a" * 40
NO_KEY = "#" * 40
"""Letters of Z85 all, and numbers that four bytes cannot hold."""

OTHER_KEY = z85.encode(bytes(range(32))).decode()
LEAVES = np.array(SkyTable.standard().at_level(4))


def test_keys_are_for_their_owner_alone(tmp_path):
    old = os.umask(0)
    try:
        keys = make_keys(tmp_path / "alice")
    finally:
        os.umask(old)
    secret, public = tmp_path / "alice.secret", tmp_path / "alice.public"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert keys.secret in secret.read_text()
    assert keys.secret not in public.read_text()
    assert read_keys(secret) == keys
    assert keys.secret not in repr(keys)
    with pytest.raises(StorageError, match=r"alice\.secret.*exists"):
        make_keys(tmp_path / "alice")


def files_of(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


@pytest.mark.parametrize("call", ["open", "fsync", "link", "unlink"])
@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_making_keys_that_is_interrupted(tmp_path, monkeypatch, call, number, error):
    """Every file is whole or not there; made again, the pair is complete."""
    calls = 0
    real = getattr(os, call)

    def fails(*words, **options):
        nonlocal calls
        calls += 1
        if calls == number:
            raise error
        return real(*words, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fails)
        with suppress(StorageError, KeyboardInterrupt):
            make_keys(tmp_path / "alice")
    left = files_of(tmp_path)
    assert "alice.public" not in left or "alice.secret" in left
    assert call == "unlink" or not {".alice.secret.new", ".alice.public.new"} & set(left)
    if "alice.public" in left:
        keys = read_keys(tmp_path / "alice.secret")
    else:
        keys = make_keys(tmp_path / "alice")
    assert read_keys(tmp_path / "alice.secret") == keys
    assert keys.public in (tmp_path / "alice.public").read_text()
    assert stat.S_IMODE((tmp_path / "alice.secret").stat().st_mode) == 0o600
    if "alice.secret" in left:
        assert left["alice.secret"] == (tmp_path / "alice.secret").read_text()


def test_keys_are_not_made_over_others(tmp_path):
    for there in ("alice.public", "alice.secret"):
        folder = tmp_path / there
        folder.mkdir()
        (folder / there).write_text("something else")
        with pytest.raises((StorageError, ConfigError)):
            make_keys(folder / "alice")
        assert files_of(folder) == {there: "something else"}


@given(st.binary(min_size=32, max_size=32))
def test_keys_are_32_bytes(data):
    assert is_key(z85.encode(data).decode())


@given(st.text(st.sampled_from("0aZ#$%}é \n"), max_size=45) | st.text(max_size=45))
def test_what_is_no_key(text):
    """Against ZeroMQ itself."""
    try:
        is_one = len(text) == 40 and z85.encode(z85.decode(text.encode("ascii"))) == text.encode()
    except (ValueError, KeyError, struct.error):
        is_one = False
    assert is_key(text) == is_one


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_keys_that_others_can_read_are_refused(tmp_path, mode):
    make_keys(tmp_path / "alice")
    (tmp_path / "alice.secret").chmod(mode)
    with pytest.raises(ConfigError, match="chmod 600"):
        read_keys(tmp_path / "alice.secret")


def test_files_that_are_no_keys(tmp_path):
    path = tmp_path / "x.secret"
    one, two = make_keys(tmp_path / "one"), make_keys(tmp_path / "two")
    for text, match in (
        ("", "no key pair"),
        ("not toml", "no key pair"),
        ('public = "short"\nsecret = "short"', "40 characters"),
        (f'public = "{one.public}"\nsecret = "{two.secret}"', "do not belong together"),
        (f'public = "{NO_KEY}"\nsecret = "{NO_KEY}"', "40 characters of Z85"),
        ("\udcff", "no key pair"),
    ):
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        path.chmod(0o600)
        with pytest.raises(ConfigError, match=match):
            read_keys(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_keys(tmp_path / "nothing.secret")
    with pytest.raises(ConfigError, match="is a public key; give the secret file"):
        read_keys(tmp_path / "one.public")


def zap(key: bytes = b"", mechanism: bytes = b"CURVE") -> list[bytes]:
    return [b"1.0", b"7", b"dvo", b"10.0.0.1", b"", mechanism, *([key] if key else [])]


def test_who_may_come_in(tmp_path):
    public = zmq.curve_keypair()[0].decode()
    path = tmp_path / "authorised"
    path.write_text(f"# those of us\n\nadmin {public} Ada of the night shift\nread {KEY} bob\n")
    path.chmod(0o600)
    authority = Authority(path)
    assert authority.role_of(public) == ("admin", "Ada of the night shift")
    good = zap(z85.decode(public))
    assert authority.reply(good)[2:5] == [b"200", b"OK", b"admin Ada of the night shift"]
    for bad in (zap(b"x" * 32), zap(mechanism=b"NULL"), good[:-1], [b"2.0", *good[1:]], []):
        assert authority.reply(bad)[2] == b"400"
    path.write_text(f"read {KEY} bob\n")  # taken away
    assert authority.reply(good)[2] == b"400"
    with pytest.raises(NotAuthorisedError):
        authority.role_of(public)


WRONG_LINES = [
    (f"owner {KEY} x", "'owner' is no role"),
    ("read short x", "'short' is no public key"),
    (f"read {NO_KEY} x", "is no public key"),
    (f"read {'a' * 39}é x", "is no public key"),
    (f"read {KEY}", "has no name"),
    (f"read {KEY}  ", "has no name"),
    (f"read {KEY} \x1b[2J", "has no name that can be shown"),
    (f"read {KEY} a\radmin {KEY} b", "has no name that can be shown"),
    (f"{KEY} read x", "is no role"),
    ("read", "is no public key"),
    ("read # x", "is no public key"),
    (f"admin {OTHER_KEY} Ada again", "is there twice"),
    (b"read \xff x", "utf-8"),
    (b"# caf\xe9", "utf-8"),
]


@pytest.mark.parametrize(("line", "match"), WRONG_LINES)
def test_lists_that_are_wrong(tmp_path, caplog, line, match):
    """An error that names file and line; and while it is so nobody comes in, with or without."""
    path = tmp_path / "authorised"
    good = f"read {OTHER_KEY} bob\n".encode()
    bad = line if isinstance(line, bytes) else line.encode()
    path.write_bytes(good)
    authority = Authority(path)
    asked = zap(z85.decode(OTHER_KEY.encode()))
    assert authority.reply(asked)[2] == b"200"
    for text in (good + bad + b"\n", good + bad, good + bad + b"\n" + good.replace(b"bob", b"B")):
        path.write_bytes(text)
        with pytest.raises(ConfigError, match=rf"authorised, line 2: .*{match}"):
            Authority(path)
        caplog.clear()
        assert authority.reply(asked)[2] == b"400"
        assert "authorised, line 2" in caplog.text
    path.write_bytes(good)
    assert authority.reply(asked)[2] == b"200"


@given(st.text(max_size=80) | st.text("#ra \n\r\x1c", max_size=80))
def test_any_list_is_right_or_an_error(tmp_path_factory, noise):
    path = tmp_path_factory.mktemp("keys") / "authorised"
    path.write_bytes(noise.encode())
    words = [line.split() for line in noise.split("\n")]
    if all(not found or found[0].startswith("#") for found in words):
        assert not Authority(path)._read()
    else:  # nobody makes a key by chance
        with pytest.raises(ConfigError, match="authorised, line"):
            Authority(path)


def test_names_of_people(tmp_path):
    """They may be long, and of any letters: ZeroMQ hands them on in 255 bytes."""
    path = tmp_path / "authorised"
    path.write_text(f"read {OTHER_KEY} {'Zoë ' * 80}\r\n", encoding="utf-8")
    status, _, user = Authority(path).reply(zap(z85.decode(OTHER_KEY.encode())))[2:5]
    assert status == b"200"
    assert user.decode("utf-8").startswith("read Zoë Zoë")
    assert len(user) <= 255


def test_a_list_that_others_can_write(tmp_path):
    path = tmp_path / "authorised"
    path.write_text("")
    path.chmod(0o666)
    with pytest.raises(ConfigError, match="chmod go-w"):
        Authority(path)


def test_host_tables_come_back(tmp_path):
    hosts = [
        HostEntry(12, "node12", "/data/a b/sky", "tcp://node12:5780", KEY[:-2] + "#$"),
        HostEntry(3, "localhost", "/sky", "ipc:///sky/hosts/3.sock"),
    ]
    write_host_table(tmp_path, hosts)
    assert read_host_table(tmp_path) == hosts[::-1]
    assert get_host(tmp_path, 12) == hosts[0]
    with pytest.raises(ConfigError, match=r"no host 4; there are 3, 12"):
        get_host(tmp_path, 4)


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ("x n /p tcp://localhost:1", "such as"),
        ("1 n /p", "such as"),
        ("0 n /p tcp://localhost:1", "1 to 65535"),
        ("70000 n /p tcp://localhost:1", "1 to 65535"),
        ("1 n /p http://localhost:1", "tcp://"),
        ("1 n /p tcp://node:1", "takes keys"),
        (f"1 n /p tcp://node:1 {NO_KEY}", "is no public key"),
        ("1 n /p tcp://node:1 short", "is no public key"),
        ("1 n /p tcp://localhost:99999", "tcp://"),
        ("1 n /p tcp://localhost:-1", "tcp://"),
        ("1 n /p tcp://::1:5780", "in brackets"),
        ("1 n /p tcp://[::1:5780", "in brackets"),
        ("1 n /p tcp://[::g]:5780", "in brackets"),
        (f"1 n /p tcp://[fe80::1%]:5780 {KEY}", "in brackets"),
        ("1 n /p 'tcp://a b:1'", "tcp://"),
        ("1 n /p tcp://[2001:db8::1]:5780", "takes keys"),
        ("1 n /p tcp://0.0.0.0:1", "takes keys"),
        ("1 n '/p tcp://localhost:1", "quotation"),
        ("2 n /p tcp://localhost:1", "there twice"),
    ],
)
def test_host_tables_that_are_wrong(tmp_path, line, match):
    (tmp_path / "HostTable.dat").write_text(f"# hosts\n2 m /p ipc:///x\n{line}\n")
    with pytest.raises(ConfigError, match=rf"HostTable.dat, line 3: .*{match}"):
        read_host_table(tmp_path)


def test_no_host_table_no_hosts(tmp_path):
    assert read_host_table(tmp_path) == []


def test_which_endpoints_are_local():
    local = ("ipc:///x", "tcp://127.0.0.1:5", "tcp://127.9.9.9:*", "tcp://[::1]:5",
             "tcp://localhost:5")  # fmt: skip
    far = ("tcp://0.0.0.0:5", "tcp://*:5", "tcp://10.0.0.1:5", "tcp://[::]:5", "tcp://node:5",
           "tcp://localhost.example.org:5", "udp://127.0.0.1:5", "tcp://eth0:5", "")  # fmt: skip
    assert all(map(is_local, local))
    assert not any(map(is_local, far))


@pytest.fixture
def store(tmp_path):
    with Store(filled_database(tmp_path / "sky", n_stars=200)) as found:
        yield found


@pytest.mark.parametrize("by", ["random", "load"])
def test_catalogs_are_shared_out(store, by):
    found = assign(store, [4, 7, 9], by=by, rng=np.random.default_rng(1))
    host, backup = read_assignment(store.catdir).of(LEAVES)
    counts = np.bincount(host, minlength=10)
    assert counts.nonzero()[0].tolist() == [4, 7, 9]
    assert np.ptp(counts[[4, 7, 9]]) <= 1
    assert (backup != 0).all()
    assert (backup != host).all()
    view = store.view()
    assert sum(n for n, _ in found.values()) == len(view.regions())
    rows = view.snapshot.counts["measures"] + view.snapshot.counts["objects"]
    assert sum(n for _, n in found.values()) == rows
    report = check(store, deep=True)
    assert (report.ok, report.notes) == (True, [])


def test_what_is_split_stays_with_its_hosts(store):
    region = store.view().regions()[0]
    assign(store, [1, 2, 3], rng=np.random.default_rng(1))
    before = read_assignment(store.catdir)
    with Store(store.catdir, writable=True) as writer:
        split_regions(writer, writer.sky.names([region]))
    after = read_assignment(store.catdir)
    sky = SkyTable.standard()
    children = np.array(sky.children(region))
    assert np.isin(children, after.index).all()
    pairs = zip(before.of(np.array([region])), after.of(children), strict=True)
    for old, new in pairs:
        assert set(new.tolist()) == set(old.tolist())
    others = LEAVES[region != LEAVES]
    pairs = zip(before.of(others), after.of(others), strict=True)
    for old, new in pairs:
        np.testing.assert_array_equal(old, new)


def test_loads_are_even(store):
    view = store.view()
    sizes = sorted(row.n_average + row.n_measure for row in view.catalogs(view.regions()).values())
    assert len(sizes) == 4
    found = assign(store, [1, 2], by="load", rng=np.random.default_rng(1))
    loads = sorted(rows for _, rows in found.values())
    # The largest and the least together, and the two between.
    assert loads == sorted([sizes[3] + sizes[0], sizes[2] + sizes[1]])


def test_groups_go_to_the_host_of_most_of_their_regions(store):
    assign(store, [1, 2, 3], rng=np.random.default_rng(5))
    found = read_assignment(store.catdir)
    sky = SkyTable.standard()
    hosts = found.of(LEAVES)[0]
    ones, twos = LEAVES[hosts == 1], LEAVES[hosts == 2]
    # Regions that came of a split are where the one was that was split.
    child = sky.children(int(twos[0]))[3]
    groups = [[int(twos[0]), *ones[:3].tolist()], [child], [], [int(ones[0]), int(twos[0])]]
    first, second = found.hosts_of(groups)
    assert first.tolist() == [1, 2, 0, 1]  # of two that have as many the first
    assert second[0] in (2, 3)
    assert second[1] in (1, 3)
    assert second[2] == 0


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40),
    st.lists(st.lists(st.integers(0, 39), max_size=6), max_size=8),
)
def test_hosts_of_groups_are_those_that_counting_finds(hosts, groups):
    index = np.array(LEAVES[: len(hosts)])
    host, backup = np.array(hosts, np.uint16).T
    groups = [[int(index[k % len(index)]) for k in group] for group in groups]
    first, second = Assignment(index, host, np.where(host > 0, backup, 0)).hosts_of(groups)
    pairs = dict(zip(index.tolist(), zip(host.tolist(), backup.tolist(), strict=True), strict=True))
    for group, one, two in zip(groups, first.tolist(), second.tolist(), strict=True):
        counts = Counter(pairs[r][0] for r in group if pairs[r][0])
        best = min(counts, key=lambda h: (-counts[h], h), default=0)
        assert one == best
        backups = Counter(b for h, b in (pairs[r] for r in group) if h == best and best and b)
        other = min(backups, key=lambda h: (-backups[h], h), default=0)
        assert two == (other if other != best else 0)


def test_without_backups(store):
    assign(store, [1, 2], backups=False, rng=np.random.default_rng(1))
    found = read_assignment(store.catdir)
    assert not found.backup.any()
    assert found.host.any()
    first, second = found.hosts_of([store.view().regions()])
    assert first[0] in (1, 2)
    assert second[0] == 0


def test_nothing_assigned(store):
    first, second = read_assignment(store.catdir).hosts_of([store.view().regions()])
    assert (first[0], second[0]) == (0, 0)
    with pytest.raises(ConfigError, match="has no hosts"):
        assign(store, [], rng=np.random.default_rng(1))
