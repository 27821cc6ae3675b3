import json
import sys

import numpy as np
import pytest
from PIL import Image

from anyir.errors import shown
from anyir.picture import write_image


def picture(seed):
    blocks = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(blocks).resize((160, 140), Image.Resampling.BICUBIC))


@pytest.fixture
def folder(tmp_path):
    for name in ("train/clean/photos", "test/Kodak24"):
        (tmp_path / name).mkdir(parents=True)
    for number in range(3):
        write_image(picture(number), tmp_path / f"train/clean/photos/{number}.png")
        write_image(picture(10 + number), tmp_path / f"test/Kodak24/{number}.png")
    return tmp_path


def test_check_prints_a_table_and_is_content_with_sound_sets(anyir, folder):
    code, out, err = anyir("data", "check", folder)
    assert code == 0 and err.strip() == "sound"
    rows = {line.split()[0]: line for line in out.splitlines() if line and not line.startswith(" ")}
    assert "3 of 80" in rows["photos"] and "train/clean/photos" in rows["photos"]
    assert "3 of 24" in rows["kodak24"] and "wed" in rows["6"]  # "6 files opened; not there: ..."


def test_check_names_a_planted_test_picture_and_exits_with_1(anyir, folder, tmp_path):
    planted = folder / "train/clean/photos/planted.jpg"
    Image.fromarray(picture(11)[1:]).save(planted, quality=90)
    cut = "cut\udce9.png" if sys.platform == "linux" else "cut.png"  # elsewhere every name is Unicode
    (folder / "train/clean/photos" / cut).write_bytes((folder / "test/Kodak24/0.png").read_bytes()[:500])
    report = tmp_path / "report.json"
    code, out, err = anyir("data", "check", folder, "--report", report)
    assert code == 1 and err.strip() == "not sound: see above"
    assert "test pictures among the training pictures: 1" in out and "planted.jpg = " in out
    assert "photos: unreadable: 1" in out and shown(cut) in out and "NOT SOUND" in out
    values = json.loads(report.read_text("utf-8"))
    assert values["leaks"][0]["pictures"] == ["train/clean/photos/planted.jpg", "test/Kodak24/1.png"]
    assert not values["sound"] and values["files"] == 8


def test_check_names_label_maps_that_are_of_no_use_and_notes_clean_pictures_that_are_not_used(anyir, folder):
    for name in ("rgb", "labels"):
        (folder / "train/street" / name).mkdir(parents=True)
    for name in ("blurred", "sharp"):
        (folder / "train/blur" / name).mkdir(parents=True)
    for number in (1, 2):
        write_image(picture(20 + number), folder / f"train/street/rgb/{number}.png")
        write_image(picture(30 + number), folder / f"train/blur/sharp/{number}.png")
    write_image(picture(33), folder / "train/blur/blurred/1.png")
    Image.fromarray(np.zeros((140, 160), np.uint8)).save(folder / "train/street/labels/1.png")
    small = folder / "train/street/labels/2.png"
    Image.fromarray(np.zeros((70, 80), np.uint8)).save(small)
    code, out, _ = anyir("data", "check", folder)
    assert code == 1
    assert f"street: not of the clean picture's size: 1\n  {small} and " in out
    assert (
        f"blur: clean without degraded, so not used (no fault): 1\n  {folder}/train/blur/sharp/2.png\n" in out
    )
    states = {line.split()[0]: line for line in out.splitlines() if line.endswith(("sound", "SOUND"))}
    assert states["street"].endswith("NOT SOUND") and states["blur"].endswith("  sound")


def test_training_refuses_it_by_name_with_code_2(anyir, folder, tmp_path):
    Image.fromarray(picture(11)[1:]).save(folder / "train/clean/photos/planted.jpg", quality=90)
    recipe = tmp_path / "mine.toml"
    recipe.write_text(
        'network = "anyir-s"\nsteps = 1\n[mixture]\njpeg = 1\n[sources]\njpeg = ["photos"]\n'
        "[[stages]]\nuntil = 1\npatch = 16\nbatch = 1\n[validation]\nhold_out_every = 0\n"
    )
    train = ("train", recipe, "--data", folder, "--threads", 1, "--out")
    code, _, err = anyir(*train, tmp_path / "run")
    assert code == 2 and len(err.strip().splitlines()) == 1
    assert "planted.jpg = " in err and """--set 'leave_out.photos=["planted"]'""" in err
    code, _, err = anyir(*train, tmp_path / "left-out", "--set", 'leave_out.photos=["planted"]', "--quiet")
    assert code == 0, err
    code, _, err = anyir(*train, tmp_path / "allowed", "--set", "test_pictures=allow", "--quiet")
    assert code == 0, err


def test_wrong_usage_is_one_line_and_code_2(anyir, tmp_path):
    for arguments, message in (
        ((tmp_path / "nowhere",), "nowhere is not a folder"),
        ((tmp_path,), "holds none of the data sets that were looked for: see anyir data sets"),
        ((tmp_path, "--set", "pears"), "no data set is called 'pears'"),
    ):
        code, out, err = anyir("data", "check", *arguments)
        assert code == 2 and out == "" and message in err and len(err.strip().splitlines()) == 1


@pytest.mark.parametrize("command", ["check", "stats"])
def test_a_report_replaces_no_picture(anyir, folder, command):
    picture = folder / "train/clean/photos/0.png"
    before = picture.read_bytes()
    code, out, err = anyir("data", command, folder, "--report", picture)
    assert (code, out) == (2, "") and "must end in .json" in err
    assert picture.read_bytes() == before


def test_sets_lists_the_catalogue(anyir):
    code, out, _ = anyir("data", "sets")
    assert code == 0
    (wed,) = [line for line in out.splitlines() if line.startswith("wed ")]
    assert "4744" in wed and "research only" in wed and "WED or Denoise/WED or Denoise" in wed
