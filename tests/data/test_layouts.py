from pathlib import Path

import pytest

from anyir.data.layouts import DataSet, Layout, examples_of, looked_for, scan
from anyir.data.sets import GENERIC, SETS
from anyir.errors import DataError

# A file or two of each layout that people have on disk, and the (degraded, clean) pairs that are to be found.
ON_DISK = {
    "bsd400": [
        (["BSD400/2018.jpg"], [("", "BSD400/2018.jpg")]),
        (
            ["Train/Denoise/a8143.jpg", "Train/Denoise/12003.jpg", "Train/Denoise/00012.bmp"],
            [("", "Train/Denoise/12003.jpg"), ("", "Train/Denoise/a8143.jpg")],
        ),
    ],
    "wed": [
        (["WED/00001.bmp"], [("", "WED/00001.bmp")]),
        (["Train/Denoise/a100007.jpg", "Train/Denoise/00012.bmp"], [("", "Train/Denoise/00012.bmp")]),
    ],
    "rain_train_l": [
        (
            ["Train/Derain/rainy/rain-12.png", "Train/Derain/gt/norain-12.png"],
            [("Train/Derain/rainy/rain-12.png", "Train/Derain/gt/norain-12.png")],
        ),
        (
            ["RainTrainL/rain-1.png", "RainTrainL/norain-1.png"],
            [("RainTrainL/rain-1.png", "RainTrainL/norain-1.png")],
        ),
        (
            ["rain_data_train_Light/rain/X2/norain-12x2.png", "rain_data_train_Light/norain/norain-12.png"],
            [("rain_data_train_Light/rain/X2/norain-12x2.png", "rain_data_train_Light/norain/norain-12.png")],
        ),
    ],
    "ots": [
        (
            [
                "Train/Dehaze/synthetic/part1/0001_0.8_0.2.jpg",
                "Train/Dehaze/synthetic/part2/0001_1_0.04.jpg",
                "Train/Dehaze/original/0001.jpg",
            ],
            [
                ("Train/Dehaze/synthetic/part1/0001_0.8_0.2.jpg", "Train/Dehaze/original/0001.jpg"),
                ("Train/Dehaze/synthetic/part2/0001_1_0.04.jpg", "Train/Dehaze/original/0001.jpg"),
            ],
        ),
        (
            ["OTS/hazy/0025_1_0.2.jpg", "OTS/clear/0025.jpg"],
            [("OTS/hazy/0025_1_0.2.jpg", "OTS/clear/0025.jpg")],
        ),
    ],
    "gopro_train": [
        (
            ["GOPRO_Large/train/GOPR0372/blur/000047.png", "GOPRO_Large/train/GOPR0372/sharp/000047.png"],
            [("GOPRO_Large/train/GOPR0372/blur/000047.png", "GOPRO_Large/train/GOPR0372/sharp/000047.png")],
        ),
        (
            ["Train/Deblur/blur/GOPR0372_07_00_000047.png", "Train/Deblur/sharp/GOPR0372_07_00_000047.png"],
            [("Train/Deblur/blur/GOPR0372_07_00_000047.png", "Train/Deblur/sharp/GOPR0372_07_00_000047.png")],
        ),
    ],
    "lowlight": [
        (
            ["LOLdataset/our485/low/2.png", "LOLdataset/our485/high/2.png"],
            [("LOLdataset/our485/low/2.png", "LOLdataset/our485/high/2.png")],
        ),
        (
            ["Train/Enhance/low/2.png", "Train/Enhance/gt/2.png"],
            [("Train/Enhance/low/2.png", "Train/Enhance/gt/2.png")],
        ),
    ],
    "urban100": [(["Urban100/HR/img_001.png"], [("", "Urban100/HR/img_001.png")])],
    "kodak24": [(["Kodak24/kodim01.png"], [("", "Kodak24/kodim01.png")])],
    "mcmaster": [(["test/McMaster/1.tif"], [("", "test/McMaster/1.tif")])],
    "rain100l": [
        (
            ["test/derain/Rain100L/input/1.png", "test/derain/Rain100L/target/1.png"],
            [("test/derain/Rain100L/input/1.png", "test/derain/Rain100L/target/1.png")],
        ),
        (
            ["Rain100L/rain-001.png", "Rain100L/norain-001.png"],
            [("Rain100L/rain-001.png", "Rain100L/norain-001.png")],
        ),
    ],
    "sots-outdoor": [
        (
            ["test/dehaze/input/0001_0.8_0.2.jpg", "test/dehaze/target/0001.png"],
            [("test/dehaze/input/0001_0.8_0.2.jpg", "test/dehaze/target/0001.png")],
        ),
    ],
    "pairs": [(["degraded/a.png", "clean/a.jpg"], [("degraded/a.png", "clean/a.jpg")])],
    "pictures": [(["a.png", "b.jpg"], [("", "a.png"), ("", "b.jpg")])],
}


def touch(root: Path, names: list[str]) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


@pytest.mark.parametrize(
    ("name", "files", "pairs"), [(n, *case) for n, cases in ON_DISK.items() for case in cases]
)
def test_sets_are_found_in_the_layouts_that_people_have(tmp_path, name, files, pairs):
    touch(tmp_path, files)
    found = examples_of(tmp_path, SETS[name])
    assert found is not None
    assert [
        (
            "" if e.degraded is None else e.degraded.relative_to(tmp_path).as_posix(),
            e.clean.relative_to(tmp_path).as_posix(),
        )
        for e in found
    ] == pairs


def test_training_and_test_sets_of_one_layout_are_told_apart_by_their_folder(tmp_path):
    touch(
        tmp_path,
        [f"{use}/GoPro/{part}/{use}.png" for use in ("train", "test") for part in ("input", "target")],
    )
    for name, use in (("gopro_train", "train"), ("gopro", "test")):
        (example,) = examples_of(tmp_path, SETS[name]) or ()
        assert example.name == use


def test_a_folder_that_may_be_either_is_neither_where_nothing_says_which(tmp_path):
    touch(tmp_path, [f"GoPro/{part}/1.png" for part in ("input", "target")])
    assert examples_of(tmp_path, SETS["gopro_train"]) is None and examples_of(tmp_path, SETS["gopro"]) is None
    touch(tmp_path, [f"test/GoPro/{part}/1.png" for part in ("input", "target")])
    assert examples_of(tmp_path / "test", SETS["gopro"]) is not None
    assert examples_of(tmp_path / "test", SETS["gopro_train"]) is None


def test_test_sets_beside_a_training_folder_are_found_from_it_also_by_a_relative_name(tmp_path, monkeypatch):
    touch(tmp_path, ["train/clean/photos/1.png", "test/Kodak24/1.png"])
    assert examples_of(tmp_path / "train", SETS["kodak24"]) is not None
    monkeypatch.chdir(tmp_path / "train")
    assert examples_of(Path("."), SETS["kodak24"]) is not None


def test_a_scene_that_misses_a_half_is_reported(tmp_path):
    touch(tmp_path, [f"GOPRO_Large/train/A/{part}/1.png" for part in ("blur", "sharp")])
    (tmp_path / "GOPRO_Large/train/B/blur").mkdir(parents=True)
    touch(tmp_path, ["GOPRO_Large/train/B/sharp/1.png", "GOPRO_Large/train/C/blur/1.png"])
    found = scan(tmp_path, SETS["gopro_train"])
    assert found is not None and [example.scene for example in found.examples] == ["A/1"]
    below = tmp_path / "GOPRO_Large/train"
    assert {path.relative_to(below).as_posix() for path in found.empty} == {"B/blur", "C/sharp"}
    with pytest.raises(DataError, match=r"B.blur holds no pictures"):
        examples_of(tmp_path, SETS["gopro_train"])


def test_pictures_below_linked_folders_are_found(tmp_path):
    touch(tmp_path, ["elsewhere/0001_1_0.2.jpg", "OTS/clear/0001.jpg"])
    (tmp_path / "OTS/hazy").mkdir()
    (tmp_path / "OTS/hazy/part1").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert len(examples_of(tmp_path, SETS["ots"]) or ()) == 1


def test_what_is_wrong_is_reported_by_scan_and_refused_by_examples_of(tmp_path):
    touch(tmp_path, ["rain/rainy/1.png", "rain/rainy/2.png", "rain/clean/1.png", "rain/clean/1.jpg"])
    found = scan(tmp_path, SETS["rain"])
    assert found is not None
    assert [path.name for path, _ in found.alone] == ["2.png"]
    assert [[path.name for path in two] for two in found.namesakes] == [["1.jpg", "1.png"]]
    assert [example.name for example in found.examples] == ["1"]
    with pytest.raises(DataError, match=r"1\.jpg and .*1\.png have one name; remove one"):
        examples_of(tmp_path, SETS["rain"])
    (tmp_path / "rain/clean/1.jpg").unlink()
    with pytest.raises(DataError, match=r"2\.png has no partner: there is no picture '2' in .*clean"):
        examples_of(tmp_path, SETS["rain"])


def test_a_missing_label_map_is_named(tmp_path):
    touch(tmp_path, ["street/rgb/1.jpg", "street/rgb/2.jpg", "street/labels/1.png"])
    with pytest.raises(DataError, match=r"rgb.2\.jpg has no partner: there is no picture '2' in .*labels"):
        examples_of(tmp_path, SETS["street"])


@pytest.mark.parametrize(
    ("name", "files", "unused"),
    [
        ("rain", ["rain/rainy/1.png", "rain/clean/1.png", "rain/clean/2.png"], ["rain/clean/2.png"]),
        (
            "ots",
            ["OTS/hazy/a/0001_1_0.2.jpg", "OTS/clear/0001.jpg", "OTS/clear/0002.jpg"],
            ["OTS/clear/0002.jpg"],
        ),
        # All in one folder: what is degraded is not clean without degraded.
        (
            "rain_train_l",
            ["RainTrainL/rain-1.png", "RainTrainL/norain-1.png", "RainTrainL/norain-2.png"],
            ["RainTrainL/norain-2.png"],
        ),
        # A folder for each scene, one of them without blurred pictures.
        (
            "gopro_train",
            [
                f"GOPRO_Large/train/{end}"
                for end in ("A/blur/1.png", "A/sharp/1.png", "A/sharp/2.png", "B/sharp/3.png")
            ],
            ["GOPRO_Large/train/A/sharp/2.png"],
        ),
        ("photos", ["clean/photos/1.png"], []),
    ],
)
def test_clean_pictures_that_no_degraded_one_belongs_to_are_told_and_no_fault(tmp_path, name, files, unused):
    touch(tmp_path, files)
    found = scan(tmp_path, SETS[name])
    assert found is not None
    assert [path.relative_to(tmp_path).as_posix() for path in found.unused] == unused
    if not found.empty:
        assert len(examples_of(tmp_path, SETS[name]) or ()) == 1


def test_layouts_read_as_a_user_would_type_them():
    layouts = (
        Layout("a"),
        Layout("a", "b", "c"),
        Layout("", "b", "c"),
        Layout("a", "b", labels="d"),
        Layout(""),
    )
    dataset = DataSet("x", "X", "train", layouts, 1, "")
    assert looked_for(dataset) == "a or a/{c,b} or {c,b} or a/{b,d} or ."


def test_the_catalogue_is_sound():
    assert all(name == each.name for name, each in SETS.items())
    assert {name for name, each in SETS.items() if each.expected is None} == set(GENERIC)
    for each in SETS.values():
        assert each.title and each.terms and each.layouts, each.name
        labelled = {layout.labels is not None for layout in each.layouts}
        assert labelled == {each.depth is not None}, each.name


@pytest.mark.parametrize("name", [n for n, s in SETS.items() if not s.official and n not in GENERIC])
def test_every_set_of_our_own_is_whole_in_the_real_pictures(data_dir, name):
    examples = examples_of(data_dir, SETS[name])
    assert examples is not None and len(examples) == SETS[name].expected
