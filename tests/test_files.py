from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path

import numpy as np
import pytest

from anyir import files
from anyir.errors import OutputError
from anyir.files import check_folder, leftovers, remove_leftovers, sha256_of, utf8, write_atomically
from anyir.picture import Picture, read, write

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions and links")
OLD = b"what was there before"


@pytest.fixture
def picture():
    return Picture(np.random.default_rng(0).integers(0, 256, (9, 8, 3), dtype=np.uint8))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_new_file_is_written_and_nothing_else_is_left(tmp_path, picture):
    write(picture, tmp_path / "a.png")
    assert names(tmp_path) == ["a.png"]
    assert np.array_equal(read(tmp_path / "a.png").pixels, picture.pixels)


def test_an_existing_file_is_kept_unless_overwriting_is_allowed(tmp_path, picture):
    path = tmp_path / "a.png"
    path.write_bytes(OLD)
    with pytest.raises(OutputError, match="exists already"):
        write(picture, path)
    assert path.read_bytes() == OLD and names(tmp_path) == ["a.png"]
    write(picture, str(path), overwrite=True)
    assert np.array_equal(read(path).pixels, picture.pixels) and names(tmp_path) == ["a.png"]


def test_a_file_that_appears_meanwhile_is_not_overwritten(tmp_path, monkeypatch, picture):
    path = tmp_path / "a.png"
    fsync = os.fsync

    def slow_disk(descriptor: int) -> None:
        fsync(descriptor)
        path.write_bytes(OLD)

    monkeypatch.setattr(os, "fsync", slow_disk)
    with pytest.raises(OutputError, match="exists already"):
        write(picture, path)
    assert path.read_bytes() == OLD and names(tmp_path) == ["a.png"]


def no_links(*_: object) -> None:
    raise PermissionError(1, "Operation not permitted")


def test_file_systems_without_links(tmp_path, monkeypatch, picture):
    monkeypatch.setattr(os, "link", no_links)
    write(picture, tmp_path / "a.png")
    assert np.array_equal(read(tmp_path / "a.png").pixels, picture.pixels)
    with pytest.raises(OutputError, match="exists already"):
        write(picture, tmp_path / "a.png")
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (fsync(fd), (tmp_path / "b.png").write_bytes(OLD)))
    with pytest.raises(OutputError, match="exists already"):
        write(picture, tmp_path / "b.png")
    assert (tmp_path / "b.png").read_bytes() == OLD and names(tmp_path) == ["a.png", "b.png"]


def test_a_failed_rename_without_links_leaves_no_empty_file(tmp_path, monkeypatch, picture):
    def fails(self: Path, target: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "link", no_links)
    monkeypatch.setattr(Path, "replace", fails)
    with pytest.raises(OutputError, match="Input/output error"):
        write(picture, tmp_path / "a.png")
    assert names(tmp_path) == []


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    "failure", [OSError(28, "No space left on device"), KeyboardInterrupt(), MemoryError()]
)
def test_a_failure_half_way_leaves_everything_as_it_was(tmp_path, monkeypatch, picture, failure, overwrite):
    path = tmp_path / "a.png"
    if overwrite:
        path.write_bytes(OLD)

    def fails(descriptor: int) -> None:
        raise failure

    monkeypatch.setattr(os, "fsync", fails)
    expected = OutputError if isinstance(failure, OSError) else type(failure)
    with pytest.raises(expected) as caught:
        write(picture, path, overwrite=overwrite)
    if expected is OutputError:
        assert "No space left on device" in str(caught.value) and str(path) in str(caught.value)
        assert "make room" in str(caught.value)
    assert names(tmp_path) == (["a.png"] if overwrite else [])
    assert not overwrite or path.read_bytes() == OLD


def test_a_failure_of_the_rename_keeps_the_old_file(tmp_path, monkeypatch, picture):
    path = tmp_path / "a.png"
    path.write_bytes(OLD)
    monkeypatch.setattr(Path, "replace", lambda *_: no_links())
    with pytest.raises(OutputError, match="not permitted"):
        write(picture, path, overwrite=True)
    assert path.read_bytes() == OLD and names(tmp_path) == ["a.png"]


def test_places_where_no_file_can_be(tmp_path, picture):
    with pytest.raises(OutputError, match="create"):
        write(picture, tmp_path / "missing" / "a.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(OutputError, match="exists already"):
        write(picture, tmp_path / "folder.png")
    with pytest.raises(OutputError, match="folder"):
        write(picture, tmp_path / "folder.png", overwrite=True)
    with pytest.raises(OutputError):
        write(picture, tmp_path / ("long" * 100 + ".png"))
    with pytest.raises(OutputError):
        write(picture, "null\0byte.png")
    assert names(tmp_path) == ["folder.png"]


def test_the_longest_possible_name_can_be_written(tmp_path, picture):
    path = tmp_path / ("n" * 251 + ".png")  # a temporary name made from it would be too long
    write(picture, path)
    assert path.is_file()


def test_it_is_known_before_the_work_that_the_place_is_taken(tmp_path):
    def never() -> bytes:
        raise AssertionError("computed for nothing")

    (tmp_path / "a.png").write_bytes(OLD)
    with pytest.raises(OutputError):
        write_atomically(tmp_path / "a.png", never, overwrite=False)


@posix
def test_permissions_are_those_of_an_ordinary_new_file(tmp_path, picture):
    before = os.umask(0o027)
    try:
        write(picture, tmp_path / "a.png")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.png").stat().st_mode) == 0o640
    (tmp_path / "a.png").chmod(0o604)
    write(picture, tmp_path / "a.png", overwrite=True)
    assert stat.S_IMODE((tmp_path / "a.png").stat().st_mode) == 0o604, "a replaced file keeps its own"


@posix
def test_links_are_followed_when_overwriting_and_count_as_existing(tmp_path, picture):
    (tmp_path / "real.png").write_bytes(OLD)
    (tmp_path / "link.png").symlink_to("real.png")
    (tmp_path / "dangling.png").symlink_to("nowhere.png")
    for name in ("link.png", "dangling.png"):
        with pytest.raises(OutputError, match="exists already"):
            write(picture, tmp_path / name)
    write(picture, tmp_path / "link.png", overwrite=True)
    assert (tmp_path / "link.png").is_symlink()
    assert np.array_equal(read(tmp_path / "real.png").pixels, picture.pixels)


@posix
def test_a_device_is_not_replaced(tmp_path, picture):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(OutputError, match="device"):
        write(picture, tmp_path / "pipe.png", overwrite=True)
    assert stat.S_ISFIFO((tmp_path / "pipe.png").stat().st_mode)


def test_a_folder_that_could_be_made_is_not_made_and_one_that_could_not_is_refused(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    assert check_folder(tmp_path / "a" / "b") == tmp_path
    assert check_folder(tmp_path) == tmp_path
    for taken in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(OutputError, match="is no folder"):
            check_folder(taken)
    assert names(tmp_path) == ["file"]


def test_a_folder_that_may_not_be_written_to_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path or not mode & os.W_OK)
    with pytest.raises(OutputError, match="may not be written to"):
        check_folder(tmp_path / "run")


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path):
    ours = tmp_path / ".anyir-0123456789abcdef.tmp"
    others = [".anyir-notes.tmp", ".anyir-0123456789abcdef.tmp.png", "anyir-0123456789abcdef.tmp", "a.png"]
    for path in (ours, *map(tmp_path.joinpath, others)):
        path.write_bytes(OLD)
    (tmp_path / ".anyir-aaaaaaaaaaaaaaaa.tmp").mkdir()
    assert leftovers(tmp_path) == [ours]
    assert remove_leftovers(tmp_path) == [ours]
    assert names(tmp_path) == sorted([*others, ".anyir-aaaaaaaaaaaaaaaa.tmp"])
    assert remove_leftovers(tmp_path / "nowhere") == []


def test_a_leftover_that_goes_while_it_is_looked_for_is_none(tmp_path, monkeypatch):
    (tmp_path / ".anyir-0123456789abcdef.tmp").write_bytes(b"")
    there = os.listdir(tmp_path)
    monkeypatch.setattr(os, "listdir", lambda folder: [*there, ".anyir-fedcba9876543210.tmp"])
    assert leftovers(tmp_path) == [tmp_path / there[0]]


@posix
def test_a_link_called_like_a_leftover_is_none(tmp_path):
    (tmp_path / "mine.png").write_bytes(OLD)
    (tmp_path / ".anyir-0123456789abcdef.tmp").symlink_to("mine.png")
    assert remove_leftovers(tmp_path) == []
    assert names(tmp_path) == [".anyir-0123456789abcdef.tmp", "mine.png"]


@posix
@pytest.mark.parametrize("step", ["fsync", "link"])
def test_a_file_that_is_being_written_is_no_leftover(tmp_path, monkeypatch, picture, step):
    original, removed = getattr(os, step), []

    def another_run_begins(*arguments: object) -> None:
        removed.extend(remove_leftovers(tmp_path))
        original(*arguments)

    monkeypatch.setattr(os, step, another_run_begins)
    write(picture, tmp_path / "a.png")
    assert removed == [] and names(tmp_path) == ["a.png"]


@posix
def test_a_file_removed_before_it_could_be_held_is_made_again(tmp_path, monkeypatch):
    hold, held = files.hold, []

    def too_late(descriptor: int) -> bool:
        if not held:
            assert len(remove_leftovers(tmp_path)) == 1
        held.append(descriptor)
        return hold(descriptor)

    monkeypatch.setattr(files, "hold", lambda descriptor, wait=True: too_late(descriptor) if wait else True)
    write_atomically(tmp_path / "a", b"new")
    assert len(held) == 2
    assert names(tmp_path) == ["a"] and (tmp_path / "a").read_bytes() == b"new"


def test_the_hash_of_a_file_is_that_of_all_its_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_PIECE", 2)
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_of(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_text_with_a_name_that_is_not_utf_8_becomes_utf_8_that_json_reads_back():
    name = "caf\udce9 日.png"  # as Python has the bytes of a name that are no UTF-8
    content = utf8(json.dumps({"name": name}, ensure_ascii=False))
    assert content == rb'{"name": "caf\udce9 ' + "日".encode() + b'.png"}'
    assert json.loads(content) == {"name": name}
