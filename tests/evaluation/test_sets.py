from __future__ import annotations

from pathlib import Path

import pytest

from anyir.errors import DataError, UsageError
from anyir.evaluation.sets import SETS, SUITES, find_pairs, select_sets, whereabouts


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def found(root: Path, name: str) -> dict[str, tuple[str, str]]:
    pairs = find_pairs(root, SETS[name])
    assert pairs is not None
    return {
        pair.name: (
            "" if pair.degraded is None else pair.degraded.relative_to(root).as_posix(),
            pair.clean.relative_to(root).as_posix(),
        )
        for pair in pairs
    }


def test_pairs_of_one_name_even_where_suffixes_differ(tmp_path):
    touch(tmp_path, *(f"Rain100L/input/{n}.png" for n in (2, 10, 1)))
    touch(tmp_path, *(f"Rain100L/target/{n}.webp" for n in (1, 2, 10, 11)))
    assert found(tmp_path, "rain100l") == {
        name: (f"Rain100L/input/{name}.png", f"Rain100L/target/{name}.webp") for name in ("1", "10", "2")
    }
    pairs = find_pairs(tmp_path, SETS["rain100l"])
    assert pairs is not None and [pair.name for pair in pairs] == ["1", "10", "2"]  # sorted as text


def test_rain100l_under_its_original_names(tmp_path):
    touch(tmp_path, "Rain100L/rain/rain-001.png", "Rain100L/norain/norain-001.png")
    assert found(tmp_path, "rain100l") == {
        "rain-001": ("Rain100L/rain/rain-001.png", "Rain100L/norain/norain-001.png")
    }


def test_several_hazy_pictures_share_a_scene(tmp_path):
    touch(tmp_path, *(f"SOTS_indoor_partial/hazy/{name}.png" for name in ("1400_2", "1400_6", "14_1")))
    touch(tmp_path, "SOTS_indoor_partial/clear/1400.png", "SOTS_indoor_partial/clear/14.png")
    clean = [pair[1] for pair in found(tmp_path, "sots-indoor-partial").values()]
    assert clean == [f"SOTS_indoor_partial/clear/{scene}.png" for scene in ("1400", "1400", "14")]


def test_a_scene_name_with_dots_is_not_cut_at_them(tmp_path):
    touch(tmp_path, "SOTS_outdoor/hazy/0001_0.8_0.08.jpg", "SOTS_outdoor/clear/0001.png")
    assert list(found(tmp_path, "sots-outdoor")) == ["0001_0.8_0.08"]


def test_haze_partial_pairs_by_full_name(tmp_path):
    touch(tmp_path, *(f"haze_partial/{part}/0025_{how}.jpg" for part in ("hazy", "clear") for how in "ab"))
    assert found(tmp_path, "haze-partial")["0025_b"][1] == "haze_partial/clear/0025_b.jpg"


def test_a_folder_for_each_scene(tmp_path):
    for scene in ("GOPR0384", "GOPR0385"):
        touch(tmp_path, f"GoPro/test/{scene}/blur/000001.png", f"GoPro/test/{scene}/sharp/000001.png")
    assert list(found(tmp_path, "gopro")) == ["GOPR0384/000001", "GOPR0385/000001"]


def test_clean_pictures_are_their_own_reference(tmp_path):
    touch(tmp_path, "CBSD68/b.jpg", "CBSD68/a.JPG", "CBSD68/.c.jpg", "CBSD68/notes.txt", "CBSD68/more/d.jpg")
    for name in ("cbsd68-25", "cbsd68-grey-25", "cbsd68-jpeg-30", "clean"):
        assert found(tmp_path, name) == {"a": ("", "CBSD68/a.JPG"), "b": ("", "CBSD68/b.jpg")}


def test_an_absent_set_is_none_and_so_is_half_a_set(tmp_path):
    touch(tmp_path, "LOLv1/eval15/low/1.png")
    assert find_pairs(tmp_path, SETS["rain100l"]) is None
    assert find_pairs(tmp_path, SETS["lolv1"]) is None


def test_a_missing_partner_is_named(tmp_path):
    touch(tmp_path, "Rain100L/input/1.png", "Rain100L/input/2.png", "Rain100L/target/1.png")
    with pytest.raises(DataError, match=r"input.2\.png has no partner: there is no picture '2' in .*target"):
        find_pairs(tmp_path, SETS["rain100l"])


def test_two_pictures_of_one_name_are_refused(tmp_path):
    touch(tmp_path, "CBSD68/a.jpg", "CBSD68/a.png")
    with pytest.raises(DataError, match=r"a\.jpg and .*a\.png have one name"):
        find_pairs(tmp_path, SETS["cbsd68-15"])


def test_an_empty_folder_is_no_set(tmp_path):
    touch(tmp_path, "CBSD68/readme.txt")
    assert find_pairs(tmp_path, SETS["cbsd68-15"]) is None


def test_sets_may_lie_in_a_folder_called_test(tmp_path):
    touch(tmp_path, "test/CBSD68/a.png", "CBSD68/b.png")
    assert list(found(tmp_path, "clean")) == ["a"]
    assert list(found(tmp_path / "test", "clean")) == ["a"]
    with pytest.raises(DataError, match="nowhere is not a folder"):
        find_pairs(tmp_path / "nowhere", SETS["clean"])


def test_where_a_set_is_looked_for_is_said_as_a_user_would_type_it():
    assert whereabouts(SETS["blur-partial"]) == "blur_partial/{blurred,sharp}"


def test_suites_have_the_columns_of_the_papers_tables():
    official = {suite: [name for name in SUITES[suite] if SETS[name].official] for suite in ("three", "five")}
    assert official == {
        "three": ["cbsd68-15", "cbsd68-25", "cbsd68-50", "rain100l", "sots-outdoor"],
        "five": ["cbsd68-25", "rain100l", "sots-outdoor", "gopro", "lolv1"],
    }
    assert [SETS[name].sigma_255 for name in SUITES["three"][:4]] == [15, 25, 50, None]
    assert set(SUITES["all"]) == set(SETS)


def test_the_pictures_in_black_and_white_are_no_published_set():
    in_colour = {"cbsd68-grey-25": "cbsd68-25", "lolv1-grey": "lolv1"}
    assert [name for name, each in SETS.items() if each.black_and_white] == list(in_colour)
    for name, other in in_colour.items():
        assert SETS[other].official and not SETS[name].official
        assert SETS[name].expected == SETS[other].expected
        assert SETS[name].sigma_255 == SETS[other].sigma_255


def test_the_compressed_pictures_are_no_published_set():
    compressed = SETS["cbsd68-jpeg-30"]
    assert compressed.jpeg_quality == 30 and not compressed.official and compressed.expected == 68
    assert [name for name, each in SETS.items() if each.task == "deblock"] == ["cbsd68-jpeg-30"]
    assert [name for name, each in SETS.items() if each.jpeg_quality is not None] == ["cbsd68-jpeg-30"]


def test_selection_narrows_a_suite_and_keeps_its_order():
    assert [each.name for each in select_sets("five", ["lolv1", "rain100l"])] == ["rain100l", "lolv1"]
    with pytest.raises(UsageError, match="unknown suite 'six'; known: three, five"):
        select_sets("six")
    with pytest.raises(UsageError, match="suite 'five' has no set 'cbsd68-15'; it has: cbsd68-25"):
        select_sets("five", ["cbsd68-15"])
