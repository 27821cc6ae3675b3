"""What a second run does: only what is missing or changed, and nothing to what is not anyir's."""

import os
import sys

import numpy as np
import pytest

from anyir.errors import OutputError, UsageError
from anyir.inference import Restorer
from anyir.inference.batch import run
from anyir.inference.batch_plan import BatchSettings, Job, Outcome, Plan, plan
from anyir.inference.batch_report import report, summarise
from anyir.inference.guard import Limits
from anyir.inference.manifest import NAME, Manifest
from anyir.inference.verify import verify
from anyir.picture import read, write_image

links = pytest.mark.skipif(sys.platform == "win32", reason="links")
LEFTOVER = ".anyir-0123456789abcdef.tmp"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def restore(brighten, out):
    """restore(path, ...) → the outcomes of a run into ``out``."""

    def call(*paths, restorer=brighten, **settings):
        return list(run(plan(paths, BatchSettings(**{"output": out, **settings})), restorer))

    return call


@pytest.fixture
def problems(brighten, out):
    """problems(path, ...) → what a verification of ``out`` finds."""

    def call(*paths, restorer=brighten, **settings):
        return list(verify(plan(paths, BatchSettings(**{"output": out, **settings})), restorer))

    return call


def statuses(outcomes):
    return [outcome.status for outcome in outcomes]


def content(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# A rerun


def test_a_finished_run_does_nothing_again_and_still_knows_what_it_found(
    folder, restore, out, function_engine
):
    given = folder("a.png", "sub/b.png")
    first = restore(given, recursive=True)
    before = content(out)
    assert set(before) == {out / "a.png", out / "sub" / "b.png", out / NAME}
    engine = function_engine(lambda batch: batch)
    engine_of_that_name = Restorer("FunctionEngine", engine=engine)
    second = restore(given, recursive=True, restorer=engine_of_that_name)
    assert statuses(first) == ["restored"] * 2
    assert statuses(second) == ["skipped"] * 2
    assert engine.shapes == []
    assert content(out) == before
    assert second[0].findings is not None and first[0].findings is not None
    assert second[0].findings.change.area == first[0].findings.change.area
    assert (second[0].width, second[0].warnings) == (12, ())


def test_a_line_says_what_the_result_was_made_of_and_with(folder, restore, out):
    given = folder("a.png")
    restore(given, strength=0.5)
    (entry,) = Manifest(out / NAME).entries([out / "a.png"])
    assert entry.source == str(given / "a.png")
    assert dict(entry.settings) == {
        "strength": 0.5,
        "tile": "auto",
        "overlap": 32,
        "guard": True,
        "strip_metadata": False,
    }
    assert (entry.weights, entry.weights_sha256) == ("FunctionEngine", None)
    assert entry.findings.change.largest == 13


def test_only_what_is_missing_or_changed_is_done(folder, restore, problems, out):
    given = folder("a.png", "b.png", "c.png", "d.png")
    restore(given)
    before = content(out)
    (out / "b.png").unlink()
    write_image(np.full((10, 12, 3), 60, np.uint8), given / "c.png", overwrite=True)
    (out / "d.png").write_bytes((out / "d.png").read_bytes()[:40])
    assert problems(given) == [
        f"{given / 'b.png'}: its result {out / 'b.png'} is missing",
        f"{given / 'c.png'}: has changed since it was restored",
        f"{given / 'd.png'}: its result {out / 'd.png'} is damaged or of an earlier run",
    ]
    assert statuses(restore(given)) == ["skipped", "restored", "restored", "restored"]
    after = content(out)
    assert [after[out / name] == before[out / name] for name in ("a.png", "b.png", "c.png", "d.png")] == [
        True,
        True,
        False,
        True,
    ]
    assert problems(given) == []
    assert np.unique(read(out / "c.png").pixels).tolist() == [86]  # 60 + 25.5, to the nearest even


def test_other_settings_and_other_weights_are_another_result(folder, restore, problems, function_engine):
    given = folder("a.png")
    restore(given)
    assert problems(given, strength=0.5) == [
        f"{given / 'a.png'}: was restored with other settings (strength 1.0)"
    ]
    assert statuses(restore(given, strength=0.5)) == ["restored"]
    assert statuses(restore(given, strength=0.5)) == ["skipped"]
    restore(given, strength=1)
    assert statuses(restore(given, strength=1.0)) == ["skipped"]
    restore(given, strength=0.5)
    darken = Restorer("darken", engine=function_engine(lambda batch: batch - np.float32(0.01)))
    assert problems(given, restorer=darken, strength=0.5) == [
        f"{given / 'a.png'}: was restored with other weights (FunctionEngine)"
    ]
    assert statuses(restore(given, restorer=darken, strength=0.5)) == ["restored"]
    unguarded = Restorer("darken", engine=darken.engine, guard=False)
    assert problems(given, restorer=unguarded, strength=0.5) == [
        f"{given / 'a.png'}: was restored with other settings (guard True)"
    ]
    strict = Restorer("darken", engine=darken.engine, guard=Limits(0.01, 0.02))
    assert statuses(restore(given, restorer=strict, strength=0.5)) == ["restored"]
    for doubt in (0.01, 0.015):  # the first are the same limits
        other = Restorer("darken", engine=darken.engine, guard=Limits(doubt, 0.02))
        said = (
            []
            if doubt == 0.01
            else [f"{given / 'a.png'}: was restored with other settings (guard_doubt 0.01)"]
        )
        assert problems(given, restorer=other, strength=0.5) == said


def test_weights_of_one_name_are_told_apart_by_their_content(folder, restore, add_model):
    given = folder("a.png")
    path = add_model(0.1)
    assert statuses(restore(given, restorer=Restorer(path))) == ["restored"]
    assert statuses(restore(given, restorer=Restorer(path))) == ["skipped"]
    add_model(0.2)
    assert statuses(restore(given, restorer=Restorer(path))) == ["restored"]


def test_settings_that_only_say_names_and_places_redo_nothing(folder, restore):
    given = folder("a.png")
    restore(given)
    assert statuses(restore(given, format="png", recursive=True)) == ["skipped"]


def test_a_comparison_asked_for_later_is_made(folder, restore, problems, out):
    given = folder("a.png")
    restore(given)
    assert statuses(restore(given, side_by_side=True)) == ["restored"]
    assert (out / "a.compare.png").is_file()
    assert statuses(restore(given, side_by_side=True)) == ["skipped"]
    assert statuses(restore(given)) == ["skipped"]
    (out / "a.compare.png").unlink()
    assert problems(given, side_by_side=True) == [
        f"{given / 'a.png'}: its result {out / 'a.compare.png'} is missing"
    ]
    assert statuses(restore(given, side_by_side=True)) == ["restored"]


def test_a_run_killed_between_line_and_file_goes_on(folder, restore, monkeypatch, out):
    given = folder("a.png", "b.png")

    def killed(path, content, *, overwrite):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("anyir.inference.batch.write_atomically", killed)
        with pytest.raises(KeyboardInterrupt):
            restore(given)
    assert set(content(out)) == {out / NAME}
    assert statuses(restore(given)) == ["restored", "restored"]
    write_image(np.full((10, 12, 3), 60, np.uint8), given / "a.png", overwrite=True)
    with monkeypatch.context() as patch:
        patch.setattr("anyir.inference.batch.write_atomically", killed)
        with pytest.raises(KeyboardInterrupt):
            restore(given)
    assert statuses(restore(given)) == ["restored", "skipped"], "an older line still says whose file it is"


def test_what_a_killed_run_left_half_written_is_gone(folder, restore, problems, out):
    given = folder("a.png", "sub/b.png")
    restore(given, recursive=True)
    for place in (out, out / "sub"):
        (place / LEFTOVER).write_bytes(b"half")
    assert len(problems(given, recursive=True)) == 2
    assert "half-written" in problems(given, recursive=True)[0]
    restore(given, recursive=True)
    assert problems(given, recursive=True) == []
    (given / LEFTOVER).write_bytes(b"half")
    restore(given, output=None)
    assert not (given / LEFTOVER).exists()


# What is the user's


def test_a_result_that_somebody_worked_on_is_kept_and_said_so(folder, restore, problems, out):
    given = folder("a.png")
    restore(given)
    write_image(np.full((10, 12, 3), 7, np.uint8), out / "a.png", overwrite=True)
    (outcome,) = restore(given)
    what = f"{out / 'a.png'} is not what anyir wrote there"
    assert (outcome.status, outcome.warnings) == ("skipped", (what,))
    assert problems(given) == [f"{given / 'a.png'}: {what}"]
    assert np.unique(read(out / "a.png").pixels).tolist() == [7]
    made = plan([given], BatchSettings(output=out))
    assert report(made, [outcome])["pictures"][0]["warnings"] == [what]
    assert statuses(restore(given, overwrite=True)) == ["restored"]
    assert problems(given) == []


def test_a_file_without_a_line_is_kept(folder, restore, problems, out):
    given = folder("a.png", "b.png")
    out.mkdir()
    (out / "a.png").write_text("mine")
    outcomes = restore(given)
    assert statuses(outcomes) == ["skipped", "restored"]
    what = f"{out / 'a.png'} exists, and anyir has no record of writing it"
    assert outcomes[0].warnings == (what,)
    assert problems(given) == [f"{given / 'a.png'}: {what}"]
    assert (out / "a.png").read_text() == "mine"


@pytest.mark.parametrize("theirs", ["a.png", "a.compare.png"])
def test_one_foreign_half_of_a_pair_is_a_failure(folder, restore, out, theirs):
    given = folder("a.png")
    out.mkdir()
    (out / theirs).write_text("mine")
    (outcome,) = restore(given, side_by_side=True)
    assert isinstance(outcome.error, OutputError)
    assert f"{theirs} exists; use --overwrite" in str(outcome.error)
    assert content(out) == {out / theirs: b"mine"}


@pytest.mark.parametrize(
    ("share", "warnings"), [(None, ()), (0.004, ()), (0.39, ("the guard corrected tones in 39% of it",))]
)
def test_what_the_guard_did_is_a_warning_where_it_shows(tmp_path, share, warnings):
    outcome = Outcome(tmp_path / "a.png", held_back=share)
    assert outcome.warnings == warnings
    summary = summarise(Plan(BatchSettings(), (Job(tmp_path / "a.png", tmp_path / "b.png"),)), [outcome])
    assert summary.held_back == len(warnings), "what is counted is what is told"


# Verification


def test_verification_names_every_kind_of_trouble_and_changes_nothing(
    folder, restore, problems, out, tmp_path
):
    given = folder("a.png", "b.png")
    assert problems(given) == [f"{given / name}: is not restored yet" for name in ("a.png", "b.png")]
    assert not out.exists()
    restore(given)
    with (out / NAME).open("ab") as file:
        file.write(b"garbage\n")
    (given / "b.png").unlink()
    (given / "b.png").symlink_to("nowhere.png")
    before = content(out)
    found = problems(given, tmp_path / "nowhere.png")
    assert found == [
        f"{tmp_path / 'nowhere.png'}: no such file or folder; check the path",
        f"{given / 'b.png'}: cannot be read (No such file or directory); check the path",
        f"{out / NAME}: line 3 is damaged, and vouches for nothing",
    ]
    assert content(out) == before


def test_a_verification_tells_how_far_it_is_whatever_it_finds(folder, restore, brighten, out):
    given = folder("a.png", "b.png", "c.png")
    restore(given)
    (given / "b.png").unlink()
    (given / "b.png").symlink_to("nowhere.png")
    told = []
    whole = plan([given], BatchSettings(output=out))
    assert len(list(verify(whole, brighten, on_progress=lambda *far: told.append(far)))) == 1
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_without_an_output_folder_there_is_nothing_to_verify_by(folder, problems):
    with pytest.raises(UsageError, match="-o"):
        problems(folder("a.png"), output=None)


def test_beside_the_originals_and_for_one_named_file_no_manifest_is_kept(folder, restore, tmp_path):
    given = folder("a.png")
    restore(given, output=None)
    restore(given / "a.png", output=tmp_path / "b.png")
    assert not list(tmp_path.rglob(NAME))


# Nothing outside the output folder


@links
@pytest.mark.parametrize("overwrite", [False, True])
def test_links_in_the_output_folder_lead_nowhere(folder, restore, out, tmp_path, overwrite):
    given = folder("a.png", "sub/b.png", "c.png")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine.png").write_text("mine")
    (elsewhere / LEFTOVER).write_text("of another")
    out.mkdir()
    (out / "sub").symlink_to(elsewhere)
    (out / "a.png").symlink_to(elsewhere / "mine.png")
    outcomes = restore(given, recursive=True, overwrite=overwrite)
    assert statuses(outcomes) == ["failed", "restored", "failed"]
    for outcome in (outcomes[0], outcomes[2]):
        assert f"leads out of {out} through a link" in str(outcome.error)
    assert content(elsewhere) == {elsewhere / "mine.png": b"mine", elsewhere / LEFTOVER: b"of another"}


@links
def test_an_output_folder_that_is_itself_a_link_is_used(folder, restore, out, tmp_path):
    (tmp_path / "real").mkdir()
    out.symlink_to(tmp_path / "real")
    assert statuses(restore(folder("a.png"))) == ["restored"]
    assert {path.name for path in content(tmp_path / "real")} == {"a.png", NAME}


@links
def test_links_among_the_inputs_are_read_and_their_folders_are_not(folder, restore, out, tmp_path):
    given, other = folder("a.png"), folder("b.png", top="other")
    (given / "linked").symlink_to(other)
    (given / "c.png").symlink_to(other / "b.png")
    assert statuses(restore(given, recursive=True)) == ["restored"] * 2
    assert sorted(os.listdir(out)) == ["a.png", NAME, "c.png"]
    assert os.listdir(other) == ["b.png"]


@links
@pytest.mark.parametrize("overwrite", [False, True])
def test_links_beside_the_originals_lead_nowhere_either(folder, brighten, tmp_path, overwrite):
    given = folder("a.png", "b.png", "c.png")
    precious = tmp_path / "precious.png"
    precious.write_text("mine")
    (given / "a.restored.png").symlink_to(precious)
    (given / "b.restored.png").symlink_to(tmp_path / "not there yet.png")
    outcomes = list(run(plan([given], BatchSettings(overwrite=overwrite)), brighten))
    assert statuses(outcomes) == ["failed", "failed", "restored"]
    for outcome in outcomes[:2]:
        assert f"leads out of {given} through a link; remove the link" in str(outcome.error)
    assert precious.read_text() == "mine"
    assert sorted(os.listdir(tmp_path)) == [given.name, "precious.png"]


@links
@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("beside", [False, True])
def test_no_original_is_written_over_through_a_link_in_its_own_folder(
    folder, brighten, tmp_path, beside, overwrite
):
    """Neither for a result, nor for its comparison; nor is a file made that a link to nothing names."""
    given = folder("a.png", "b.png", "c.png")
    place, mark = (given, ".restored") if beside else (tmp_path / "out", "")
    folder("one.png", "another.png", top=place.name)
    (place / f"a{mark}.png").symlink_to("one.png")
    (place / f"b{mark}.compare.png").symlink_to("another.png")
    (place / f"c{mark}.png").symlink_to("not there yet.png")
    there = content(place)
    settings = BatchSettings(output=None if beside else place, overwrite=overwrite, side_by_side=True)
    outcomes = list(run(plan([given / name for name in ("a.png", "b.png", "c.png")], settings), brighten))
    assert statuses(outcomes) == ["failed"] * 3
    for outcome in outcomes:
        assert "is a link to another file; remove the link" in str(outcome.error)
    assert {path: each for path, each in content(place).items() if path.name != NAME} == there


@links
def test_a_link_that_the_user_names_as_the_result_is_followed(folder, brighten, tmp_path):
    given, named = folder("a.png"), tmp_path / "named.png"
    (tmp_path / "sub").mkdir()
    named.symlink_to(tmp_path / "sub" / "there.png")
    settings = BatchSettings(output=named, overwrite=True)
    assert statuses(run(plan([given / "a.png"], settings), brighten)) == ["restored"]
    assert named.is_symlink() and read(tmp_path / "sub" / "there.png").width == 12


@pytest.mark.parametrize("several", [False, True])
def test_no_input_leads_out_of_the_output_folder(folder, restore, out, tmp_path, several):
    """Whatever ".." is in its path, a result lies where its name and the folders below the input say."""
    given = folder("deep/deeper/a.png", "b.png")
    paths = [given / "deep" / "deeper" / ".." / "..", given / "deep" / ".." / "b.png"]
    paths = [*paths, given / "deep" / "deeper" / ".."] if several else paths
    made = restore(*paths, recursive=True)
    assert "failed" not in statuses(made) and len(made) == 2
    results = {path.relative_to(out).as_posix() for path in content(out)} - {NAME}
    top = "in/" if several else ""
    assert results == {f"{top}deep/deeper/a.png", f"{top}b.png"}
    assert sorted(os.listdir(tmp_path)) == sorted([given.name, out.name])
