"""The writer's lock: one at a time, named, gone with its owner."""

from __future__ import annotations

import multiprocessing
import os
import signal

import pytest

from dvo.errors import CatdirLockedError, StorageError
from dvo.partition.lock import WriterLock


def test_the_second_writer_is_told_who_is_first(tmp_path):
    with (
        WriterLock(tmp_path, "dvo resort"),
        pytest.raises(CatdirLockedError, match=rf"dvo resort \(pid {os.getpid()} on ") as error,
    ):
        WriterLock(tmp_path, "addstar")
    assert error.value.retryable
    WriterLock(tmp_path, "addstar").release()


def test_release_twice(tmp_path):
    lock = WriterLock(tmp_path, "x")
    lock.release()
    lock.release()


def test_an_owner_without_a_name(tmp_path):
    with WriterLock(tmp_path, "x"):
        (tmp_path / "lock").write_bytes(b"no json")
        with pytest.raises(CatdirLockedError, match="another process"):
            WriterLock(tmp_path, "y")


def hold(path, connection):
    lock = WriterLock(path, "dvo vacuum")
    connection.send("held")
    connection.recv()
    lock.release()


def test_a_lock_dies_with_its_owner(tmp_path):
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    owner = context.Process(target=hold, args=(tmp_path, theirs))
    owner.start()
    assert ours.recv() == "held"
    with pytest.raises(CatdirLockedError, match=f"pid {owner.pid}"):
        WriterLock(tmp_path, "x")
    os.kill(owner.pid, signal.SIGKILL)
    owner.join()
    WriterLock(tmp_path, "x").release()


def test_a_folder_that_is_none(tmp_path):
    with pytest.raises(StorageError, match="cannot be written"):
        WriterLock(tmp_path / "absent", "x")
