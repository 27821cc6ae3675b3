import json
import os
import sys

import pytest

from anyir.errors import OutputError
from anyir.inference.findings import Change, Findings, Reading
from anyir.inference.manifest import NAME, Entry, Manifest

FINDINGS = Findings(
    Reading(9, 8, 7, 0.5, 0), Reading(1, 2, 3, 0, 0.25), Change(3, 9, (1, 2), (0, 1, 2, 3), 4)
)


@pytest.fixture
def entry():
    """entry(output, ...) → a line about files with these names, whose hashes are their names backwards."""

    def make(*outputs, source="in/a.jpg"):
        return Entry(
            source=source,
            input_sha256="11",
            weights="tiny",
            weights_sha256="22",
            settings={"strength": 1.0},
            settings_sha256="33",
            outputs={name: name[::-1] for name in outputs},
            width=4,
            height=3,
            seconds=0.25,
            held_back=None,
            findings=FINDINGS,
        )

    return make


@pytest.fixture
def path(tmp_path):
    return tmp_path / "out" / NAME


def test_what_is_added_is_found_by_every_file_it_is_about_also_by_the_next_run(path, entry):
    manifest = Manifest(path)
    assert manifest.entries([path.parent / "a.jpg"]) == []
    manifest.add(entry("a.jpg", "sub/a.compare.jpg"))
    manifest.add(entry("b.jpg"))
    for each in (manifest, Manifest(path)):
        assert each.outputs == {"a.jpg", "sub/a.compare.jpg", "b.jpg"}
        assert each.entries([path.parent / "a.jpg"]) == [entry("a.jpg", "sub/a.compare.jpg")]
        assert each.entries([path.parent / "sub" / "a.compare.jpg"]) == [entry("a.jpg", "sub/a.compare.jpg")]
        assert each.entries([path.parent / "sub" / "b.jpg"]) == []


def test_lines_about_one_file_come_oldest_first_and_once(path, entry):
    manifest = Manifest(path)
    first, second = entry("a.jpg", "b.jpg"), entry("a.jpg", source="other.jpg")
    manifest.add(first)
    manifest.add(second)
    assert manifest.entries([path.parent / "b.jpg", path.parent / "a.jpg"]) == [first, second]


def test_a_line_is_plain_json_with_version_hashes_and_findings(path, entry):
    Manifest(path).add(entry("ä.jpg", source="in/ä.jpg"))
    line = json.loads(path.read_text(encoding="utf-8"))
    assert line["anyir_manifest"] == 1
    assert line["input"] == "in/ä.jpg"
    assert line["outputs"] == {"ä.jpg": "gpj.ä"}
    assert (line["input_sha256"], line["weights_sha256"], line["settings_sha256"]) == ("11", "22", "33")
    assert line["findings"]["change"] == {
        "mean": 3,
        "largest": 9,
        "largest_at": [1, 2],
        "area": [0, 1, 2, 3],
        "area_mean": 4,
    }


@pytest.mark.parametrize("cut", [1, 5, 200])
def test_a_half_written_line_vouches_for_nothing_and_is_replaced_by_the_next(path, entry, cut):
    manifest = Manifest(path)
    manifest.add(entry("a.jpg"))
    whole = path.read_bytes()
    manifest.add(entry("b.jpg"))
    path.write_bytes(path.read_bytes()[:-cut])
    again = Manifest(path)
    assert (again.outputs, again.damaged) == ({"a.jpg"}, [])
    again.add(entry("c.jpg"))
    assert path.read_bytes().startswith(whole)
    assert path.read_bytes().count(b"\n") == 2
    assert again.entries([path.parent / "c.jpg"]) == [entry("c.jpg")]
    assert Manifest(path).outputs == {"a.jpg", "c.jpg"}


def test_a_file_that_is_one_half_written_line_is_an_empty_manifest(path, entry):
    path.parent.mkdir()
    path.write_bytes(b'{"anyir_manifest": 1, "inp' + b" " * 9000)
    manifest = Manifest(path)
    assert manifest.outputs == frozenset()
    manifest.add(entry("a.jpg"))
    assert Manifest(path).outputs == {"a.jpg"}


@pytest.mark.parametrize(
    "damage",
    [b"garbage\n", b"[1]\n", b"7\n", b'{"anyir_manifest": 2}\n', b"\xff\n", b"[" * 100_000 + b"\n"],
    ids=["words", "list", "number", "format", "bytes", "depth"],
)
def test_damaged_lines_are_counted_and_the_others_still_hold(path, entry, damage):
    manifest = Manifest(path)
    manifest.add(entry("a.jpg"))
    with path.open("ab") as file:
        file.write(damage)
    manifest.add(entry("b.jpg"))
    again = Manifest(path)
    assert (again.outputs, again.damaged) == ({"a.jpg", "b.jpg"}, [2])
    assert again.entries([path.parent / "b.jpg"]) == [entry("b.jpg")]


def test_a_name_that_no_file_has_is_damage(path, entry):
    manifest = Manifest(path)
    manifest.add(entry("a.jpg"))
    line = path.read_text("utf-8")
    for name in (r'{"a\u0000b.jpg":', r'{"a\ud800.jpg":', r'[["a\u0000.jpg",'):
        damaged = line.replace('{"a.jpg":', name)
        with path.open("a") as file:
            file.write(damaged.replace('}, "width', ']], "width') if name.startswith("[") else damaged)
    assert (Manifest(path).outputs, Manifest(path).damaged) == ({"a.jpg"}, [2, 3, 4])


def test_two_runs_may_append_to_one_manifest(path, entry):
    one, other = Manifest(path), Manifest(path)
    for number in range(3):
        one.add(entry(f"one{number}.jpg"))
        other.add(entry(f"other{number}.jpg"))
    assert len(Manifest(path).outputs) == 6
    assert one.entries([path.parent / "one2.jpg"]) == [entry("one2.jpg")]


def test_a_full_disk_leaves_the_manifest_as_it_was(path, entry, monkeypatch):
    manifest = Manifest(path)
    manifest.add(entry("a.jpg"))
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"anyir-manifest.jsonl: cannot be written .*make room"):
        manifest.add(entry("b.jpg"))
    assert path.read_bytes() == before
    assert manifest.outputs == {"a.jpg"}


def test_a_file_of_that_name_that_is_something_else_is_refused(path):
    path.parent.mkdir()
    path.write_text("my notes\n")
    with pytest.raises(OutputError, match="is no manifest of anyir; move it away"):
        Manifest(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(OutputError, match="cannot be read"):
        Manifest(path)


@pytest.mark.skipif(sys.platform == "win32", reason="links")
def test_a_link_is_not_followed(path, tmp_path, entry):
    path.parent.mkdir()
    (tmp_path / "elsewhere").write_bytes(b"")
    manifest = Manifest(path)
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="cannot be written"):
        manifest.add(entry("a.jpg"))
    with pytest.raises(OutputError, match="is a link"):
        Manifest(path)
    assert (tmp_path / "elsewhere").read_bytes() == b""


def test_a_manifest_that_shrinks_while_it_is_in_use_is_an_error(path, entry):
    manifest = Manifest(path)
    manifest.add(entry("a.jpg"))
    path.write_bytes(b"")
    with pytest.raises(OutputError, match="was changed while it was in use"):
        manifest.entries([path.parent / "a.jpg"])
