import os
import time
import weakref
from pathlib import Path

import numpy as np
import pytest

from anyir.errors import EngineUnavailable, OutputError, UnreadablePicture, UsageError
from anyir.files import write_atomically
from anyir.inference import Restorer, batch
from anyir.inference.batch import run
from anyir.inference.batch_plan import BatchSettings, plan
from anyir.inference.batch_report import report, summarise
from anyir.inference.manifest import NAME
from anyir.picture import Picture, compare_pictures, read, write, write_image


def planned(paths, **settings):
    """The outputs of a plan by input, both relative to their common folder."""
    jobs = plan(paths, BatchSettings(**settings)).jobs
    top = os.path.commonpath([path.parent for job in jobs for path in (job.source, job.output)])
    return {os.path.relpath(job.source, top): os.path.relpath(job.output, top) for job in jobs}


def tree(folder):
    """All files but the manifest."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != NAME)
    return sorted(path.relative_to(folder).as_posix() for path in files)


# What a folder gives


def test_folder_takes_known_suffixes_of_any_case_and_no_hidden_or_restored_files(folder):
    given = folder("b.PNG", "a.jpeg", "a.restored.jpg", ".hidden.png", "notes.txt", "c.tiff", "sub/d.webp")
    assert planned([given]) == {
        "a.jpeg": "a.restored.jpeg",
        "b.PNG": "b.restored.PNG",
        "c.tiff": "c.restored.tiff",
    }


def test_pictures_that_are_read_but_not_written_become_png(folder):
    given = folder("a.heic", "b.AVIF", "c.heif", "d.jpg")
    assert planned([given]) == {
        "a.heic": "a.restored.png",
        "b.AVIF": "b.restored.png",
        "c.heif": "c.restored.png",
        "d.jpg": "d.restored.jpg",
    }


def test_recursive_keeps_sub_folders_under_the_output_and_skips_hidden_ones(folder, tmp_path):
    given = folder("a.jpg", "x/a.jpg", "x/y/b.png", ".trash/c.png")
    assert planned([given], recursive=True, output=tmp_path / "out") == {
        "in/a.jpg": "out/a.jpg",
        "in/x/a.jpg": "out/x/a.jpg",
        "in/x/y/b.png": "out/x/y/b.png",
    }


def test_output_folder_within_the_input_is_not_an_input(folder):
    given = folder("a.jpg", "out/a.jpg", "out/deep/b.jpg", "other/c.jpg")
    jobs = plan([given], BatchSettings(output=given / "other" / ".." / "out", recursive=True)).jobs
    assert [job.source for job in jobs] == [given / "a.jpg", given / "other" / "c.jpg"]


def test_files_given_by_name_are_always_tried(folder):
    given = folder("a.restored.jpg", ".hidden.png", "scan.dat")
    paths = [given / "a.restored.jpg", given / ".hidden.png", given / "scan.dat"]
    assert list(planned(paths).values()) == [
        "a.restored.restored.jpg",
        ".hidden.restored.png",
        "scan.restored.png",
    ]


@pytest.mark.parametrize("settings", [{}, {"side_by_side": True}, {"format": "png"}])
def test_a_shell_that_names_results_too_can_run_the_same_command_again(folder, brighten, settings):
    given = folder("a.jpg", "a.png", "b.jpg", "theirs.restored.jpg")
    outcomes = list(run(plan(sorted(given.glob("*")), BatchSettings(**settings)), brighten))
    assert [outcome.status for outcome in outcomes] == ["restored"] * 4
    made = tree(given)
    others = [] if "format" in settings else [{**settings, "side_by_side": False}]
    for again in (settings, *others):
        outcomes = list(run(plan(sorted(given.glob("*")), BatchSettings(**again)), brighten))
        assert [outcome.status for outcome in outcomes] == ["skipped"] * 4
    assert tree(given) == made
    jobs = plan(sorted(given.glob("*")), BatchSettings(format="webp")).jobs
    assert [job.source.name for job in jobs] == ["a.jpg", "a.png", "b.jpg", "theirs.restored.jpg"]


def test_a_picture_given_twice_is_restored_once(folder):
    given = folder("a.jpg", "b.jpg")
    jobs = plan([given / "b.jpg", given, given / ".." / "in" / "a.jpg"], BatchSettings()).jobs
    assert [job.source for job in jobs] == [given / "b.jpg", given / "a.jpg"]


def test_several_folders_get_a_folder_each_under_the_output(folder, tmp_path):
    one, two = folder("a.jpg", top="one"), folder("a.jpg", "sub/b.jpg", top="two")
    assert planned([one, two], recursive=True, output=tmp_path / "out") == {
        "one/a.jpg": "out/one/a.jpg",
        "two/a.jpg": "out/two/a.jpg",
        "two/sub/b.jpg": "out/two/sub/b.jpg",
    }


# Names


def test_format_gives_the_suffix_but_a_fitting_one_stays(folder):
    given = folder("a.png", "b.JPEG", "c.jpg")
    assert planned([given], format="jpeg") == {
        "a.png": "a.restored.jpg",
        "b.JPEG": "b.restored.JPEG",
        "c.jpg": "c.restored.jpg",
    }


def test_inputs_that_would_share_a_name_keep_their_suffixes(folder, tmp_path):
    given = folder("a.jpg", "a.png", "b.jpg")
    assert planned([given], format="png") == {
        "a.jpg": "a.jpg.restored.png",
        "a.png": "a.png.restored.png",
        "b.jpg": "b.restored.png",
    }
    assert planned([given], format="png", output=tmp_path / "out") == {
        "in/a.jpg": "out/a.jpg.png",
        "in/a.png": "out/a.png.png",
        "in/b.jpg": "out/b.png",
    }


def test_a_name_made_to_part_two_inputs_does_not_hit_a_third(folder, tmp_path):
    given = folder("a.jpg", "a.png", "a.jpg.png")
    outputs = planned([given], format="png", output=tmp_path / "out")
    assert len(set(outputs.values())) == 3


def test_comparisons_take_part_in_the_contest_for_names(folder, tmp_path):
    given = folder("a.jpg", "a.compare.jpg")
    jobs = plan([given], BatchSettings(output=tmp_path / "out", side_by_side=True)).jobs
    assert len({path for job in jobs for path in job.outputs}) == 4


def test_two_files_of_one_name_are_refused_before_any_work(folder, tmp_path):
    one, two = folder("a.jpg", top="one") / "a.jpg", folder("a.jpg", top="two") / "a.jpg"
    with pytest.raises(UsageError, match=r"one/a.jpg and .*two/a.jpg would both be written to .*out/a.jpg;"):
        plan([one, two], BatchSettings(output=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_names_that_differ_in_case_are_one_file_on_some_systems(folder, monkeypatch, tmp_path, system):
    one, two = folder("A.jpg", top="one") / "A.jpg", folder("a.jpg", top="two") / "a.jpg"
    assert len(plan([one, two], BatchSettings(output=tmp_path / "out")).jobs) == 2
    monkeypatch.setattr("sys.platform", system)
    with pytest.raises(UsageError, match=r"one/A.jpg and .*two/a.jpg would both be written to .*out/A.jpg;"):
        plan([one, two], BatchSettings(output=tmp_path / "out"))


def test_one_file_can_be_given_its_result_by_name(folder, tmp_path):
    source = folder("a.jpg") / "a.jpg"
    assert planned([source], output=tmp_path / "b.PNG") == {"in/a.jpg": "b.PNG"}
    (tmp_path / "c.png").mkdir()
    assert planned([source], output=tmp_path / "c.png") == {"in/a.jpg": "c.png/a.jpg"}


@pytest.mark.parametrize(
    ("paths", "settings", "message"),
    [
        (["a.jpg"], {"output": "x.png", "format": "jpeg"}, "disagree"),
        (["a.jpg", "b.jpg"], {"output": "x.png"}, "several"),
        (["."], {"output": "x.png"}, "several"),
        (["a.jpg"], {"output": "x.gif"}, "does not write .gif"),
        (["a.jpg"], {"output": "notes.txt"}, "a file, where a folder"),
        (["a.jpg"], {"output": "a.jpg"}, "would replace an input"),
        (["a.jpg"], {"output": "."}, "would replace an input"),
        (["."], {"output": ".", "overwrite": True}, "would replace an input"),
        (["a.jpg", "b.jpg"], {"output": "b.jpg"}, "a file, where a folder"),
        (["nowhere.jpg"], {}, "nowhere.jpg: no such file or folder"),
        (["empty"], {}, "empty: no pictures .* --recursive"),
        (["empty"], {"recursive": True}, "empty: no pictures .* or its sub-folders"),
        (["empty", "nowhere"], {}, "empty: no pictures .*; nowhere: no such"),
        ([], {}, "no pictures given"),
    ],
)
def test_impossible_requests_are_refused(folder, monkeypatch, paths, settings, message):
    given = folder("a.jpg", "b.jpg", "notes.txt")
    (given / "empty").mkdir()
    monkeypatch.chdir(given)
    settings = {key: Path(value) if key == "output" else value for key, value in settings.items()}
    with pytest.raises(UsageError, match=message):
        plan([Path(path) for path in paths], BatchSettings(**settings))
    assert tree(given) == ["a.jpg", "b.jpg", "notes.txt"]


def test_an_output_that_is_a_link_to_an_input_is_refused(folder, tmp_path):
    given = folder("a.jpg")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.jpg").symlink_to(given / "a.jpg")
    with pytest.raises(UsageError, match="would replace an input"):
        plan([given], BatchSettings(output=tmp_path / "out", overwrite=True))


def test_an_input_that_is_a_link_protects_what_it_points_to(folder, tmp_path):
    originals = folder("a.jpg", top="originals")
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "a.jpg").symlink_to(originals / "a.jpg")
    with pytest.raises(UsageError, match="would replace an input"):
        plan([tmp_path / "links"], BatchSettings(output=originals, overwrite=True))


def test_wrong_paths_among_good_ones_are_failures_of_their_own(folder, tmp_path):
    given = folder("a.jpg")
    (tmp_path / "empty").mkdir()
    made = plan([given, tmp_path / "nowhere", tmp_path / "empty"], BatchSettings(output=tmp_path / "out"))
    assert len(made.jobs) == 1
    assert [type(failure.error) for failure in made.failures] == [UnreadablePicture, UsageError]


def test_a_name_that_the_system_refuses_is_a_failure_like_others(folder, tmp_path):
    given, long = folder("a.jpg"), "n" * 300 + ".jpg"
    made = plan([given / "a.jpg", tmp_path / long, given / "a.jpg" / "b.jpg"], BatchSettings())
    assert [job.source for job in made.jobs] == [given / "a.jpg"]
    assert [str(failure.error).split(": ")[1] for failure in made.failures] == [
        "File name too long; check the path",
        "Not a directory; check the path",
    ]


def test_an_output_that_the_system_refuses_is_a_failure_of_one_picture(folder, brighten, tmp_path):
    given = folder("a.png", "n" * 245 + ".png")  # with ".restored" in it, longer than a name may be
    outcomes = list(run(plan([given], BatchSettings()), brighten))
    assert [outcome.status for outcome in outcomes] == ["restored", "failed"]
    assert "File name too long" in str(outcomes[1].error)
    (outcome,) = run(plan([given / "a.png"], BatchSettings(output=tmp_path / ("n" * 300))), brighten)
    assert "cannot make the folder" in str(outcome.error)
    assert len(brighten.engine.shapes) == 2, "too late for the long name only"


@pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan")])
def test_strength_outside_its_range_is_refused(strength):
    with pytest.raises(UsageError, match="strength"):
        BatchSettings(strength=strength)


# Work


def test_results_are_what_the_restorer_gives_and_originals_stay(folder, brighten, tmp_path):
    given = folder("a.png", "sub/b.png")
    before = {path: path.read_bytes() for path in given.rglob("*.png")}
    made = plan([given], BatchSettings(output=tmp_path / "out", recursive=True, strength=0.5))
    outcomes = list(run(made, brighten))
    assert [outcome.error for outcome in outcomes] == [None, None]
    # "a.png" is 25 in grey: half of a tenth of 255 is 12.75 more
    assert np.unique(read(tmp_path / "out" / "a.png").pixels).tolist() == [38]
    assert tree(tmp_path / "out") == ["a.png", "sub/b.png"]
    assert {path: path.read_bytes() for path in given.rglob("*.png")} == before


def test_bad_files_fail_alone(folder, brighten, tmp_path):
    given = folder("a.jpg", "d.png", "z.png")
    (given / "b.jpg").write_bytes((given / "a.jpg").read_bytes()[:-40])
    (given / "c.png").write_text("not a picture")
    (given / "d.png").write_bytes(b"")
    outcomes = list(run(plan([given], BatchSettings(output=tmp_path / "out")), brighten))
    assert [outcome.error is None for outcome in outcomes] == [True, False, False, False, True]
    for outcome in outcomes[1:4]:
        assert isinstance(outcome.error, UnreadablePicture)
        assert outcome.source.name in str(outcome.error)
        assert "\n" not in str(outcome.error)
    assert tree(tmp_path / "out") == ["a.jpg", "z.png"]


@pytest.mark.parametrize("comparison", [False, True])
def test_the_original_takes_no_memory_while_the_result_is_encoded(
    folder, brighten, tmp_path, monkeypatch, comparison
):
    """Encoding a large picture takes a copy of it: with the original beside that, the peak would be here."""
    originals, alive = [], []

    def remembering(path):
        picture = read(path)
        originals.append(weakref.ref(picture.pixels))
        return picture

    def encode(picture, path):
        alive.append((path.name, originals[-1]() is not None))
        return b"content"

    monkeypatch.setattr(batch, "read", remembering)
    monkeypatch.setattr(batch, "_encode", encode)
    settings = BatchSettings(output=tmp_path / "out", side_by_side=comparison)
    (outcome,) = run(plan([folder("a.png")], settings), brighten)
    assert outcome.error is None
    assert alive[-1] == ("a.png", False)
    assert len(alive) == 1 + comparison


def test_a_result_that_exists_costs_no_work_and_stays(folder, function_engine, tmp_path):
    given = folder("a.png", "b.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").write_text("mine")
    engine = function_engine(lambda batch: batch)
    outcomes = list(run(plan([given], BatchSettings(output=tmp_path / "out")), Restorer(engine=engine)))
    assert [outcome.status for outcome in outcomes] == ["skipped", "restored"]
    assert len(engine.shapes) == 1
    assert (tmp_path / "out" / "a.png").read_text() == "mine"


def test_a_file_that_the_user_named_is_not_taken_for_a_result(folder, brighten, tmp_path):
    given = folder("a.png")
    (tmp_path / "mine.png").write_text("mine")
    (outcome,) = run(plan([given / "a.png"], BatchSettings(output=tmp_path / "mine.png")), brighten)
    assert isinstance(outcome.error, OutputError)
    assert "mine.png exists; use --overwrite" in str(outcome.error)
    assert (tmp_path / "mine.png").read_text() == "mine"


@pytest.mark.parametrize("there", ["a.restored.png", "a.restored.compare.png"])
def test_half_of_a_pair_is_not_taken_for_both(folder, brighten, there):
    given = folder("a.png")
    (given / there).write_text("mine")
    (outcome,) = run(plan([given / "a.png"], BatchSettings(side_by_side=True)), brighten)
    assert isinstance(outcome.error, OutputError)
    assert f"{there} exists; use --overwrite" in str(outcome.error)
    assert tree(given) == sorted(["a.png", there])


def test_overwrite_replaces_a_result(folder, brighten, tmp_path):
    given = folder("a.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").write_text("old")
    settings = BatchSettings(output=tmp_path / "out", overwrite=True)
    assert [outcome.error for outcome in run(plan([given], settings), brighten)] == [None]
    assert read(tmp_path / "out" / "a.png").width == 12


def test_side_by_side_shows_before_after_and_difference(folder, brighten):
    given = folder("a.png")
    made = plan([given], BatchSettings(side_by_side=True))
    assert [outcome.error for outcome in run(made, brighten)] == [None]
    assert tree(given) == ["a.png", "a.restored.compare.png", "a.restored.png"]
    expected = compare_pictures(read(given / "a.png"), read(given / "a.restored.png"))
    compared = read(given / "a.restored.compare.png")
    np.testing.assert_array_equal(compared.pixels, expected.pixels)
    levels = compared.pixels[-17:, :, 1]  # below the legends
    assert [np.count_nonzero(levels == value) for value in (25, 50, 128 + 4 * 25)] == [120] * 3


def test_a_comparison_is_laid_out_for_the_format_of_the_results(folder, brighten, monkeypatch):
    given = folder("a.png")
    monkeypatch.setattr("anyir.picture.compare.MAX_SIDE", {"webp": 500})
    for format, stacked in (("png", False), ("webp", True)):
        made = plan([given], BatchSettings(side_by_side=True, format=format, overwrite=True))
        assert [outcome.error for outcome in run(made, brighten)] == [None]
        compared = read(given / f"a.restored.compare.{format}")
        assert (compared.width < 500) is stacked


def test_a_comparison_too_large_for_the_format_costs_no_result(tmp_path, brighten, monkeypatch):
    for module in ("compare", "writing"):
        monkeypatch.setattr(f"anyir.picture.{module}.MAX_SIDE", {"webp": 900})
    write_image(np.full((400, 500, 3), 50, np.uint8), tmp_path / "a.webp")
    made = plan([tmp_path / "a.webp"], BatchSettings(side_by_side=True))
    assert [outcome.error for outcome in run(made, brighten)] == [None]
    assert read(tmp_path / "a.restored.webp").width == 500
    assert read(tmp_path / "a.restored.compare.webp").width <= 900


@pytest.fixture
def interrupted(monkeypatch):
    """interrupted(plan, restorer, after=...) runs it; Ctrl-C comes before or after a.restored.png is written."""

    def call(made, restorer, *, after=False):
        def write_or_stop(path, content, *, overwrite):
            is_result = path.name == "a.restored.png"
            if not is_result or after:
                write_atomically(path, content, overwrite=overwrite)
            if is_result:
                raise KeyboardInterrupt

        monkeypatch.setattr("anyir.inference.batch.write_atomically", write_or_stop)
        with pytest.raises(KeyboardInterrupt):
            list(run(made, restorer))

    return call


def test_a_comparison_is_not_left_behind_without_its_result(folder, brighten, interrupted):
    given = folder("a.png")
    interrupted(plan([given], BatchSettings(side_by_side=True)), brighten)
    assert tree(given) == ["a.png"]


def test_a_comparison_that_was_replaced_is_not_lost_with_the_interrupt(folder, brighten, interrupted):
    given = folder("a.png")
    list(run(plan([given], BatchSettings(side_by_side=True)), brighten))
    whole = tree(given)
    interrupted(plan([given], BatchSettings(side_by_side=True, overwrite=True)), brighten)
    assert tree(given) == whole


def test_an_interrupt_after_the_last_file_of_a_picture_removes_none(folder, brighten, interrupted):
    given = folder("a.png")
    interrupted(plan([given], BatchSettings(side_by_side=True)), brighten, after=True)
    assert tree(given) == ["a.png", "a.restored.compare.png", "a.restored.png"]


def test_an_interrupt_leaves_what_is_done_and_nothing_else(folder, function_engine, tmp_path):
    given = folder("a.png", "b.png", "c.png")

    def second_picture_interrupts(batch):
        if len(engine.shapes) == 2:
            raise KeyboardInterrupt
        return batch

    engine = function_engine(second_picture_interrupts)
    made = plan([given], BatchSettings(output=tmp_path / "out"))
    outcomes = []
    with pytest.raises(KeyboardInterrupt):
        outcomes.extend(run(made, Restorer(engine=engine)))
    assert tree(tmp_path / "out") == ["a.png"]


def test_want_of_memory_and_engine_trouble_are_failures_of_one_picture(folder, function_engine, tmp_path):
    given = folder("a.png", "b.png", "c.png")

    def trouble(batch):
        if len(engine.shapes) == 1:
            raise MemoryError
        return batch * np.float32(np.nan if len(engine.shapes) == 2 else 1)

    engine = function_engine(trouble)
    made = plan([given], BatchSettings(output=tmp_path / "out"))
    outcomes = list(run(made, Restorer(engine=engine)))
    assert "a.png: not enough memory" in str(outcomes[0].error)
    assert isinstance(outcomes[1].error, EngineUnavailable)
    assert outcomes[2].error is None


def test_progress_begins_each_picture_and_ends_at_its_last_tile(folder, brighten, tmp_path):
    given = folder("a.png")
    write_image(np.zeros((70, 200, 3), np.uint8), given / "b.png")
    seen = []
    restorer = Restorer(engine=brighten.engine, tile=64)
    made = plan([given], BatchSettings(output=tmp_path / "out"))
    list(
        run(made, restorer, on_progress=lambda job, done, total: seen.append((job.source.name, done, total)))
    )
    assert seen[:3] == [("a.png", 0, 0), ("a.png", 1, 1), ("b.png", 0, 0)]
    tiles = [(done, total) for name, done, total in seen[3:]]
    assert len(tiles) > 2
    assert tiles == [(i + 1, len(tiles)) for i in range(len(tiles))]


@pytest.mark.parametrize(("large", "read_by_then"), [(2**24, [2, 3, 3]), (100, [1, 2, 3])])
def test_the_next_picture_is_read_while_one_is_computed_unless_that_one_is_large(
    folder, function_engine, tmp_path, monkeypatch, large, read_by_then
):
    been_read, seen = [], []

    def reading(path):
        picture = read(path)
        been_read.append(path.name)
        return picture

    def give_it_time(batch):
        end = time.monotonic() + (10 if large > 120 else 0.1)
        while len(been_read) < min(3, len(engine.shapes) + 1) and time.monotonic() < end:
            time.sleep(0.001)
        seen.append(len(been_read))
        return batch

    monkeypatch.setattr(batch, "read", reading)
    monkeypatch.setattr(batch, "LARGE", large)
    engine = function_engine(give_it_time)
    made = plan([folder("a.png", "b.png", "c.png")], BatchSettings(output=tmp_path / "out"))
    assert [outcome.error for outcome in run(made, Restorer(engine=engine))] == [None] * 3
    assert seen == read_by_then


@pytest.mark.parametrize("error", [MemoryError, EngineUnavailable])
def test_a_picture_that_fails_is_not_kept_in_memory(folder, function_engine, tmp_path, monkeypatch, error):
    """One that finds too little memory would leave less of it to each that follows."""
    originals, outcomes = [], []

    def reading(path):
        picture = read(path)
        originals.append(weakref.ref(picture.pixels))
        return picture

    def fail(batch):
        raise error("no")

    monkeypatch.setattr(batch, "read", reading)
    made = plan([folder(*(f"{name}.png" for name in "abcdefghijkl"))], BatchSettings(output=tmp_path / "out"))
    for outcome in run(made, Restorer(engine=function_engine(fail))):
        outcomes.append(outcome)
        time.sleep(0.02)
        assert sum(pixels() is not None for pixels in originals) <= 5, "those in work"
    assert [outcome.status for outcome in outcomes] == ["failed"] * 12


def test_seconds_add_up_to_those_of_the_job(folder, function_engine, tmp_path):
    """Though the second is read, and begun, before the first is done; and though outcomes are looked at slowly."""
    begun = []

    def slow(batch):
        time.sleep(0.4)
        return batch

    def on_progress(job, done, total):
        begun.append(time.perf_counter())

    made = plan([folder("a.png", "b.png", "c.png")], BatchSettings(output=tmp_path / "out"))
    seconds = []
    for outcome in run(made, Restorer(engine=function_engine(slow)), on_progress=on_progress):
        seconds.append(outcome.seconds)
        ended = time.perf_counter()
        time.sleep(0.3)
    # What a busy machine adds counts on both sides; the looks of 0.3 s are missed, or the work of 0.4 s counted
    # twice, where pictures do not follow each other.
    assert sum(seconds) == pytest.approx(ended - begun[0], abs=0.2)
    assert min(seconds) > 0.1


def test_a_folder_that_cannot_be_made_fails_before_the_work(folder, function_engine, tmp_path):
    given = folder("sub/a.png", "b.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "sub").write_text("in the way")
    engine = function_engine(lambda batch: batch)
    made = plan([given], BatchSettings(output=tmp_path / "out", recursive=True))
    outcomes = list(run(made, Restorer(engine=engine)))
    assert [outcome.error is None for outcome in outcomes] == [True, False]
    assert "cannot make the folder" in str(outcomes[1].error)
    assert len(engine.shapes) == 1


def test_a_folder_that_may_not_be_written_to_fails_before_the_work(
    folder, function_engine, tmp_path, monkeypatch
):
    given, out = folder("a.png"), tmp_path / "out"
    out.mkdir()
    monkeypatch.setattr("anyir.files.os.access", lambda path, mode: Path(path) != out)
    engine = function_engine(lambda batch: batch)
    (outcome,) = run(plan([given], BatchSettings(output=out)), Restorer(engine=engine))
    assert "may not be written to" in str(outcome.error) and engine.shapes == []


def test_what_the_format_cannot_hold_fails_before_the_work(folder, function_engine):
    given = folder("a.png")
    write(Picture(np.full((10, 12, 3), 9, np.uint16)), given / "a.png", overwrite=True)
    engine = function_engine(lambda batch: batch)
    (outcome,) = run(plan([given], BatchSettings(format="jpeg")), Restorer(engine=engine))
    assert "JPEG cannot hold its 16 bits" in str(outcome.error) and engine.shapes == []


# Figures


def test_summary_and_report_count_every_input_once(folder, brighten, tmp_path):
    given = folder("a.png", "b.png", "c.png")
    (given / "b.png").write_bytes(b"")
    made = plan([given, tmp_path / "nowhere"], BatchSettings(output=tmp_path / "out"))
    outcomes = [outcome for outcome, _ in zip(run(made, brighten), range(2), strict=False)]
    summary = summarise(made, outcomes)
    assert (summary.planned, summary.restored, summary.skipped, summary.failed) == (3, 1, 0, 2)
    assert summary.megapixels == pytest.approx(12 * 10 / 1e6)
    assert summary.seconds == sum(outcome.seconds for outcome in outcomes) > 0
    content = report(made, outcomes)
    assert [entry["status"] for entry in content["pictures"]] == [
        "restored",
        "failed",
        "failed",
        "not started",
    ]
    first, second, third, fourth = content["pictures"]
    assert (first["width"], first["height"], first["error"]) == (12, 10, None)
    assert first["output"] == str(tmp_path / "out" / "a.png")
    assert "b.png" in second["error"]
    assert third["input"] == str(tmp_path / "nowhere")
    assert fourth["input"] == str(given / "c.png")
    assert content["totals"]["interrupted"] is True
    assert content["settings"]["output"] == str(tmp_path / "out")

    again = [outcome for outcome, _ in zip(run(made, brighten), range(2), strict=False)]
    summary = summarise(made, again)
    assert (summary.restored, summary.skipped, summary.failed, summary.megapixels) == (0, 1, 2, 0)
    assert report(made, again)["pictures"][0]["status"] == "skipped"
