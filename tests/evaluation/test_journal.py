from __future__ import annotations

import json
from pathlib import Path

import pytest

from anyir.data.layouts import Example
from anyir.errors import DataError, OutputError
from anyir.evaluation.journal import Journal
from anyir.evaluation.results import ImageResult, Score

ABOUT = {"weights": {"name": "x", "sha256": "ab"}, "settings": {"seed": 0}}


def done(name: str) -> ImageResult:
    return ImageResult(name, 16, 32, Score(20.5, 0.5), Score(30.25, 0.75), 0.125, {"y": Score(31, 0.8)})


@pytest.fixture
def pair(tmp_path: Path) -> Example:
    for part in ("clean", "degraded"):
        (tmp_path / part).write_bytes(part.encode())
    return Example("1", "1", tmp_path / "clean", tmp_path / "degraded")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "unfinished.jsonl"


def test_what_was_added_is_found_again_whatever_killed_the_process(path, pair):
    first = Journal(path, ABOUT)
    assert first.find("rain", pair) is None
    first.add("rain", pair, done("1"))
    again = Journal(path, ABOUT)
    assert again.find("rain", pair) == done("1") and len(again) == 1
    assert again.find("haze", pair) is None


def test_names_that_are_no_utf_8_are_found_again(path, pair):
    about = {"weights": "caf\udce9.onnx"}
    Journal(path, about).add("caf\udce9", pair, done("\udce9"))
    assert Journal(path, about).find("caf\udce9", pair) == done("\udce9")
    assert path.read_text("utf-8").count(r"\udce9") == 3


def test_a_picture_that_was_changed_since_is_not_the_same(path, pair):
    Journal(path, ABOUT).add("rain", pair, done("1"))
    assert pair.degraded is not None
    pair.degraded.write_bytes(b"another")
    assert Journal(path, ABOUT).find("rain", pair) is None


def test_a_torn_last_line_is_dropped_and_written_over(path, pair):
    Journal(path, ABOUT).add("rain", pair, done("1"))
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"key": "rain/2/')
    again = Journal(path, ABOUT)
    assert len(again) == 1
    again.add("haze", pair, done("1"))
    assert len(Journal(path, ABOUT)) == 2 and path.read_bytes().startswith(whole)


@pytest.mark.parametrize("content", [b"", b'{"anyir_jour'])
def test_a_journal_that_never_got_its_first_line_is_begun_anew(path, pair, content):
    path.write_bytes(content)
    Journal(path, ABOUT).add("rain", pair, done("1"))
    assert len(Journal(path, ABOUT)) == 1


def test_another_evaluations_journal_is_refused_and_kept(path, pair):
    Journal(path, ABOUT).add("rain", pair, done("1"))
    before = path.read_bytes()
    with pytest.raises(
        OutputError, match=r"unfinished.jsonl is of an evaluation with other weights; give --over"
    ):
        Journal(path, {**ABOUT, "weights": {"name": "x", "sha256": "cd"}})
    assert path.read_bytes() == before


def test_what_is_no_journal_is_refused(path):
    head = Journal(path, ABOUT).path.read_text()
    path.write_text("a diary\n")
    with pytest.raises(OutputError, match="with other content"):
        Journal(path, ABOUT)
    path.write_text(head + json.dumps({"key": 1}) + "\n")
    with pytest.raises(DataError, match="damaged"):
        Journal(path, ABOUT)


def test_it_is_gone_when_removed_and_says_where_it_cannot_be_written(path, pair, tmp_path):
    journal = Journal(path, ABOUT)
    journal.remove()
    assert not path.exists()
    with pytest.raises(OutputError, match="nowhere"):
        Journal(tmp_path / "nowhere" / "unfinished.jsonl", ABOUT)


def test_a_picture_that_went_away_is_named(path, pair):
    journal = Journal(path, ABOUT)
    journal.add("rain", pair, done("1"))
    pair.clean.unlink()
    with pytest.raises(DataError, match=r"cannot read .*clean"):
        journal.find("rain", pair)
