"""Patterns, and results of earlier runs: what a search finds, and what it passes over."""

import os
import sys
from pathlib import Path

import pytest

from anyir.errors import OutputError, UsageError
from anyir.inference.batch import run
from anyir.inference.batch_plan import BatchSettings, plan
from anyir.inference.manifest import NAME

links = pytest.mark.skipif(sys.platform == "win32", reason="links")


def places(paths, output, **settings):
    """Input → its place under the output folder."""
    jobs = plan(paths, BatchSettings(output=output, **settings)).jobs
    return {job.source.name: os.path.relpath(job.output, output) for job in jobs}


def sources(*paths, **settings):
    return [job.source for job in plan(paths, BatchSettings(**settings)).jobs]


# Patterns


def test_a_pattern_finds_pictures_and_keeps_the_folders_below_its_first_wildcard(folder, tmp_path):
    given = folder(
        "x/a.jpg", "x/y/b.png", "z/c.jpg", "z/notes.txt", ".hidden/d.jpg", "z/.e.jpg", "x/f.restored.jpg"
    )
    assert places([given / "*" / "*.jpg"], tmp_path / "out") == {"a.jpg": "x/a.jpg", "c.jpg": "z/c.jpg"}
    assert places([given / "**" / "*"], tmp_path / "out") == {
        "a.jpg": "x/a.jpg",
        "b.png": "x/y/b.png",
        "c.jpg": "z/c.jpg",
    }
    assert places([given / "x" / "[ab].???"], tmp_path / "out") == {"a.jpg": "a.jpg"}


def test_folders_that_a_pattern_matches_are_searched(folder, tmp_path):
    given = folder("2019/a.jpg", "2020/a.jpg", "2020/deep/b.jpg", "notes/c.jpg")
    assert [path.relative_to(given).as_posix() for path in sources(given / "20*")] == [
        "2019/a.jpg",
        "2020/a.jpg",
    ]
    jobs = plan([given / "20*"], BatchSettings(recursive=True, output=tmp_path / "out")).jobs
    assert [job.output.relative_to(tmp_path / "out").as_posix() for job in jobs] == [
        "2019/a.jpg",
        "2020/a.jpg",
        "2020/deep/b.jpg",
    ]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(folder):
    given = folder("a[1].jpg", "a1.jpg")
    assert sources(given / "a[1].jpg") == [given / "a[1].jpg"]


def test_a_pattern_in_the_working_folder(folder, monkeypatch):
    monkeypatch.chdir(folder("a.jpg", "b.png"))
    assert sources(Path("*.jpg")) == [Path("a.jpg")]


def test_a_pattern_passes_over_the_output_folder_inside(folder):
    given = folder("x/a.jpg", "out/x/old.jpg", "out/b.jpg")
    assert places([given / "**" / "*.jpg"], given / "out") == {"a.jpg": "x/a.jpg"}
    assert places([given / "*"], given / "out") == {"a.jpg": "x/a.jpg"}


@pytest.mark.parametrize(
    ("pattern", "message"),
    [("*.webp", "matches no picture"), ("*/../../*.jpg", r"'\.\.' after a wildcard")],
)
def test_patterns_that_lead_to_nothing_or_anywhere_are_refused(folder, tmp_path, pattern, message):
    given = folder("sub/a.jpg", "b.jpg")
    with pytest.raises(UsageError, match=message):
        plan([given / pattern], BatchSettings(output=tmp_path / "out"))
    made = plan([given / "b.jpg", given / pattern], BatchSettings(output=tmp_path / "out"))
    assert (len(made.jobs), len(made.failures)) == (1, 1)


@links
def test_links_in_a_circle_do_not_keep_a_pattern_busy(folder):
    """Two of them have more than a billion paths of the lengths that a system allows."""
    given = folder("a.jpg", "sub/b.jpg")
    for name in ("one", "two"):
        (given / name).symlink_to(given)
        (given / "sub" / name).symlink_to(given)
    assert sources(given / "**" / "*.jpg") == [given / "a.jpg", given / "sub" / "b.jpg"]
    assert sources(given / "**") == [given / "a.jpg", given / "sub" / "b.jpg"]
    assert sources(given, recursive=True) == [given / "a.jpg", given / "sub" / "b.jpg"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("**/*.jpg", ["a.jpg", "x/b.jpg", "x/y/c.jpg"]),
        ("**", ["a.jpg", "x/b.jpg", "x/y/c.jpg"]),
        ("**/y/*", ["x/y/c.jpg"]),
        ("x/**/c.jpg", ["x/y/c.jpg"]),
        ("**/x/**/*.jpg", ["x/b.jpg", "x/y/c.jpg"]),
        ("*/**/**/?.jpg", ["x/b.jpg", "x/y/c.jpg"]),
        ("z/**/*.jpg", ["z/[1]/e.jpg"]),
        ("x**/b.jpg", ["x/b.jpg"]),
    ],
)
def test_two_stars_stand_for_any_folders_that_are_not_hidden(folder, pattern, found):
    given = folder("a.jpg", "x/b.jpg", "x/y/c.jpg", ".hidden/d.jpg", "x/.hidden/d.jpg", "x/.d.jpg")
    if pattern.startswith("z"):
        folder("z/[1]/e.jpg")  # a folder whose name looks like a pattern is that folder
    assert [path.relative_to(given).as_posix() for path in sources(given / pattern)] == found


@pytest.mark.parametrize(
    ("path", "recursive"), [(".", True), ("**/*.jpg", False), ("**", False), ("**/**/*.jpg", False)]
)
def test_a_folder_that_cannot_be_searched_is_a_failure_and_no_silence(folder, monkeypatch, path, recursive):
    given = folder("a.jpg", "locked/b.jpg")
    look = os.scandir

    def refuse(folder):
        if os.path.basename(folder) == "locked":
            raise PermissionError(13, "Permission denied", folder)
        return look(folder)

    monkeypatch.setattr(os, "scandir", refuse)  # the permissions of a file do not bind every user
    made = plan([given / path], BatchSettings(recursive=recursive))
    assert [job.source for job in made.jobs] == [given / "a.jpg"]
    assert [str(failure.error) for failure in made.failures] == [
        f"{given / 'locked'}: cannot look inside: Permission denied"
    ]


# Results of earlier runs


@pytest.fixture
def results(folder, brighten):
    """A folder of originals with a folder of their results in it, and one picture of the user's among these."""
    given = folder("a.jpg", "sub/b.jpg")
    made = plan([given], BatchSettings(output=given / "better", recursive=True, side_by_side=True))
    assert all(outcome.error is None for outcome in run(made, brighten))
    return folder("better/mine.jpg") / "better"


@pytest.mark.parametrize("recursive", [False, True])
def test_results_are_never_inputs_of_another_run(results, recursive, tmp_path):
    given = results.parent
    expected = ["a.jpg", "better/mine.jpg", "sub/b.jpg"] if recursive else ["a.jpg"]
    found = sources(given, recursive=recursive, output=tmp_path / "out")
    assert sorted(path.relative_to(given).as_posix() for path in found) == expected


def test_results_are_no_inputs_wherever_the_search_begins(results, tmp_path):
    assert sources(results, output=tmp_path / "out") == [results / "mine.jpg"]
    assert sources(results / "*.jpg", output=tmp_path / "out") == [results / "mine.jpg"]
    with pytest.raises(
        UsageError, match=r"no pictures .*; results of earlier runs count only if they are named"
    ):
        plan([results / "sub"], BatchSettings(output=tmp_path / "out"))
    assert sources(results / "a.jpg", output=tmp_path / "out") == [results / "a.jpg"]


def test_a_manifest_that_is_none_stops_the_search_with_its_name(folder):
    given = folder("a.jpg", "sub/b.jpg")
    (given / "sub" / NAME).write_text("my notes\n")
    assert sources(given) == [given / "a.jpg"]
    with pytest.raises(OutputError, match=NAME):
        plan([given], BatchSettings(recursive=True))


def test_what_others_left_above_the_folder_is_no_hindrance(folder):
    given = folder("sub/b.jpg")
    (given / NAME).write_text("my notes\n")
    assert sources(given / "sub") == [given / "sub" / "b.jpg"]
