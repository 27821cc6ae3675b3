import json
import shutil
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from anyir.data.audit import audit, refuse_leaks, to_json
from anyir.data.catalogue import load_pictures
from anyir.errors import DataError


def picture(seed, height=90, width=120):
    """Blocks of random colours: no two pictures look the same."""
    blocks = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(blocks).resize((width, height), Image.Resampling.BICUBIC))


@pytest.fixture
def folder(tmp_path):
    """Two training sets, one of pairs, and a test set; all pictures different."""
    seed = iter(range(1000))
    for name, count in (("train/clean/photos", 4), ("test/Kodak24", 3)):
        (tmp_path / name).mkdir(parents=True)
        for number in range(count):
            Image.fromarray(picture(next(seed))).save(tmp_path / name / f"{number}.png")
    for part in ("normal", "low"):
        (tmp_path / "train/lowlight" / part).mkdir(parents=True)
    for number in range(3):
        clean = picture(next(seed), 140, 160)
        Image.fromarray(clean).save(tmp_path / f"train/lowlight/normal/{number}.png")
        Image.fromarray(clean // 4).save(tmp_path / f"train/lowlight/low/{number}.png")
    return tmp_path


def plant(folder, name="test/Kodak24/1.png", where="train/clean/photos/planted.jpg"):
    """A test picture among the training pictures, as JPEG of quality 90 and without its first row."""
    pixels = np.asarray(Image.open(folder / name))[1:]
    Image.fromarray(pixels).save(folder / where, quality=90)


def test_a_sound_folder(folder):
    seen = []
    result = audit(folder, on_file=lambda done, total: seen.append((done, total)))
    counts = {each.found.dataset.name: len(each.found.examples) for each in result.sets}
    assert counts == {"lowlight": 3, "photos": 4, "kodak24": 3}
    assert result.sound and result.files == 13 and seen[-1] == (13, 13) and len(seen) == 13
    assert {each.name for each in result.absent} >= {"wed", "ots", "rain100l"}
    assert not {"pairs", "pictures"} & {each.name for each in result.absent}
    small = {each.found.dataset.name: len(each.small) for each in result.sets}
    assert small == {"lowlight": 0, "photos": 4, "kodak24": 3}


def test_a_test_picture_among_the_training_pictures_is_found_by_its_looks(folder):
    plant(folder)
    result = audit(folder)
    (leak,) = result.leaks
    assert (leak.ours.name, leak.theirs.name) == ("planted.jpg", "1.png") and leak.similarity > 0.9
    assert not result.sound and all(each.sound for each in result.sets)
    values = json.loads(json.dumps(to_json(result)))
    assert values["leaks"][0]["pictures"] == ["train/clean/photos/planted.jpg", "test/Kodak24/1.png"]
    assert values["sets"]["photos"]["examples"] == 5 and values["sets"]["lowlight"]["expected"] == 485


def test_training_on_it_is_refused_by_name_with_the_remedy(folder):
    """The degraded picture alone gives it away; the remedy keeps what the recipe leaves out already."""
    (folder / "train/lowlight/low/1.png").unlink()
    Image.fromarray(picture(50, 89)).save(folder / "train/lowlight/normal/1.png")
    plant(folder, where="train/lowlight/low/1.jpg")
    for data in (folder, folder / "train"):
        training, _ = load_pictures(data, ["lowlight", "photos"], hold_out_every=0)
        with pytest.raises(
            DataError, match=r"normal.1\.png = .*Kodak24.1\.png; leave them out with"
        ) as caught:
            refuse_leaks(training.rows, training.fingerprints, data, {"lowlight": ("82", "2")})
        assert """--set 'leave_out.lowlight=["1", "2", "82"]'""" in str(caught.value)
    left, _ = load_pictures(folder, ["lowlight", "photos"], hold_out_every=0, leave_out={"lowlight": ("1",)})
    refuse_leaks(left.rows, left.fingerprints, folder)


def test_one_scene_of_several_folders_is_left_out_alone(tmp_path):
    for scene in "AB":
        for part in ("blur", "sharp"):
            (tmp_path / f"GOPRO_Large/train/{scene}/{part}").mkdir(parents=True)
            Image.fromarray(picture(ord(scene))).save(tmp_path / f"GOPRO_Large/train/{scene}/{part}/1.png")
    sets = ["gopro_train"]
    assert load_pictures(tmp_path, sets)[0].counts() == {"gopro_train": 2}
    (row,) = load_pictures(tmp_path, sets, leave_out={"gopro_train": ("A/1",)})[0].rows
    assert row.scene == "B/1" and row.clean.parts[-3] == "B"


def test_without_test_sets_there_is_nothing_to_refuse(folder):
    plant(folder)
    shutil.rmtree(folder / "test")
    training, _ = load_pictures(folder, ["photos"], hold_out_every=0)
    refuse_leaks(training.rows, training.fingerprints, folder)


def test_what_is_wrong_with_files_is_found(folder):
    low, normal = folder / "train/lowlight/low", folder / "train/lowlight/normal"
    whole = BytesIO()
    Image.fromarray(picture(5, 140, 160)).save(whole, "JPEG")
    (low / "7.jpg").write_bytes(whole.getvalue()[:600])
    Image.fromarray(picture(6, 140, 160)).save(normal / "7.png")
    Image.fromarray(picture(7, 140, 150)).save(low / "2.png")
    Image.fromarray(picture(8)).save(low / "8.png")
    shutil.copy(normal / "0.png", normal / "0.webp")
    shutil.copy(folder / "train/clean/photos/1.png", folder / "train/clean/photos/again.png")
    result = audit(folder)
    lowlight = next(each for each in result.sets if each.found.dataset.name == "lowlight")
    assert [path.name for path in lowlight.unreadable] == ["7.jpg"]
    assert "damaged or truncated" in next(iter(lowlight.unreadable.values()))
    assert [(a.name, words) for a, _, words in lowlight.unequal] == [("2.png", "150×140 against 160×140")]
    assert [path.name for path, _ in lowlight.found.alone] == ["8.png"]
    assert [b.name for _, b in lowlight.found.namesakes] == ["0.webp"]
    assert not lowlight.sound and not result.sound
    assert [(m.ours.name, m.theirs.name) for m in result.duplicates] == [("1.png", "again.png")]


@pytest.fixture
def labelled(folder):
    """Four street photographs and their label maps, beside the other sets."""
    for part in ("rgb", "labels"):
        (folder / "train/street" / part).mkdir(parents=True)
    for number in range(4):
        Image.fromarray(picture(100 + number, 140, 160)).save(folder / f"train/street/rgb/{number}.png")
        labels = np.repeat([0, 3], 70 * 160).reshape(140, 160).astype(np.uint8)
        Image.fromarray(labels).save(folder / f"train/street/labels/{number}.png")
    return folder


def test_label_maps_are_opened_too(labelled):
    result = audit(labelled)
    (street,) = (each for each in result.sets if each.found.dataset.name == "street")
    assert result.sound and len(street.found.examples) == 4 and result.files == 13 + 8
    # All maps are alike: they are no pictures, and not compared with any.
    assert result.duplicates == () and result.leaks == ()


def test_what_is_wrong_with_label_maps_is_found(labelled):
    labels = labelled / "train/street/labels"
    (labels / "0.png").write_bytes((labels / "0.png").read_bytes()[:60])
    Image.fromarray(np.zeros((140, 150), np.uint8)).save(labels / "1.png")
    (labels / "2.png").unlink()
    Image.fromarray(picture(9, 140, 160)).save(labels / "3.png")
    result = audit(labelled)
    (street,) = (each for each in result.sets if each.found.dataset.name == "street")
    assert [path.name for path in street.unreadable] == ["0.png", "3.png"]
    damaged, coloured = street.unreadable.values()
    assert "labels" in damaged and "not a label map" in coloured
    assert [(a.parts[-2:], b.parts[-2:], words) for a, b, words in street.unequal] == [
        (("labels", "1.png"), ("rgb", "1.png"), "150×140 against 160×140")
    ]
    assert [(a.parts[-2:], b.parts[-2:]) for a, b in street.found.alone] == [
        (("rgb", "2.png"), ("labels", "2.png"))
    ]
    assert not street.sound and not result.sound
    values = to_json(result)["sets"]["street"]
    assert list(values["unreadable"]) == ["train/street/labels/0.png", "train/street/labels/3.png"]
    assert values["unequal"][0][:2] == ["train/street/labels/1.png", "train/street/rgb/1.png"]


def test_a_clean_picture_without_a_degraded_one_is_a_note(folder):
    Image.fromarray(picture(60, 140, 160)).save(folder / "train/lowlight/normal/9.png")
    result = audit(folder)
    assert result.sound and result.files == 13
    values = to_json(result)["sets"]
    assert values["lowlight"]["clean_without_degraded"] == ["train/lowlight/normal/9.png"]
    assert values["photos"]["clean_without_degraded"] == []


def test_sets_of_the_users_own_are_looked_for_when_named(folder, tmp_path):
    (tmp_path / "mine/degraded").mkdir(parents=True)
    (tmp_path / "mine/clean").mkdir()
    for part in ("degraded", "clean"):
        Image.fromarray(picture(3)).save(tmp_path / "mine" / part / "a.png")
    (only,) = audit(tmp_path / "mine", ["pairs"]).sets
    assert len(only.found.examples) == 1
    with pytest.raises(DataError, match="as a set of your own: --set pairs"):
        audit(tmp_path / "mine")
    shutil.copytree(folder / "test", tmp_path / "mine/test")
    shutil.copy(folder / "test/Kodak24/1.png", tmp_path / "mine/degraded/a.png")
    result = audit(tmp_path / "mine", ["pairs"])
    assert [leak.theirs.name for leak in result.leaks] == ["1.png"] and result.absent == ()
    with pytest.raises(DataError, match="no data set is called 'pears'"):
        audit(folder, ["pears"])


def test_the_collected_pictures_are_whole_and_hold_three_scenes_of_lolv1s_test(data_dir):
    """Its own training part, too, has them: see the training log."""
    result = audit(data_dir, ["lowlight", "lolv1", "cbsd68", "sunhays", "blur", "blur-partial"])
    assert all(each.sound for each in result.sets)
    scenes = sorted((leak.ours.stem, leak.theirs.stem) for leak in result.leaks)
    assert scenes == [("775", "778"), ("779", "780"), ("82", "79")]
