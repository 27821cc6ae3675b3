import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from anyir.data.catalogue import load_pictures
from anyir.errors import DataError

ALL = ("bsds", "photos", "street", "lowlight", "blur", "noise_real", "rain_real")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def own_copy(tiny_data, tmp_path):
    return shutil.copytree(tiny_data, tmp_path / "copy")


def test_counts_and_held_out_share(tiny_data):
    training, validation = load_pictures(tiny_data, ALL)
    assert training.counts() == {s: 21 if s == "rain_real" else 7 for s in ALL}
    assert validation.counts() == {s: 3 if s == "rain_real" else 1 for s in ALL}


def test_the_train_folder_itself_is_taken_too(tiny_data):
    assert load_pictures(tiny_data / "train", ["bsds"])[0].counts() == {"bsds": 7}


def test_no_scene_is_on_both_sides(tiny_data):
    """All shots of scene s5 are held out: its clean picture must never be drawn for training."""
    training, validation = load_pictures(tiny_data, ["rain_real"])
    held_out = np.asarray(Image.open(tiny_data / "train/rain_real/clean/s5.png"))
    for pictures, expected in ((training, False), (validation, True)):
        patches = pictures.draw(pictures.pool(["rain_real"]), 64, 80, seeded())
        drawn = {bytes(np.sort((p.numpy() * 255).round().astype(np.uint8), axis=None)) for p in patches.clean}
        crops = {bytes(np.sort(held_out[:, left : left + 80], axis=None)) for left in range(9)}
        assert bool(drawn & crops) is expected


def test_pairs_stay_aligned_through_crops_and_flips(tiny_data):
    training, _ = load_pictures(tiny_data, ["lowlight"])
    clean, degraded, depth, has_depth, _ = training.draw(training.pool(["lowlight"]), 32, 40, seeded())
    assert torch.equal((degraded * 255).round(), (clean * 255).round().div(8, rounding_mode="floor"))
    assert not has_depth.any() and not depth.any()


def test_scaled_patches_are_means_of_pixels_and_stay_pairs(own_copy):
    """Pictures of stripes, 40 and 200 in turn, darkened to 5 and 25: means of two by two are 120 and 15 everywhere."""
    stripes = np.zeros((80, 88, 3), np.uint8)
    stripes[:, ::2], stripes[:, 1::2] = 40, 200
    for path in (own_copy / "train/lowlight/normal").iterdir():
        Image.fromarray(stripes).save(path)
        Image.fromarray(stripes // 8).save(own_copy / "train/lowlight/low" / path.name)
    training, _ = load_pictures(own_copy, ["lowlight"])
    pool = training.pool(["lowlight"])
    clean, degraded, *_ = training.draw(pool, 8, 40, seeded(), zoom=2)
    assert clean.shape == (8, 3, 40, 40)
    inner = slice(1, -1)  # patches may begin at any pixel, so that all means are of one of each stripe
    assert torch.allclose(clean[..., inner] * 255, torch.tensor(120.0))
    assert torch.allclose(degraded[..., inner] * 255, torch.tensor(15.0))
    with pytest.raises(DataError, match="scaled down by 2"):
        training.draw(pool, 1, 48, seeded(), zoom=2)


def test_every_orientation_occurs(tiny_data):
    training, _ = load_pictures(tiny_data, ["street"])
    _, _, depth, has_depth, _ = training.draw(training.pool(["street"]), 64, 80, seeded())
    assert has_depth.all()
    upright = depth[:, 0, 0, 0] > depth[:, 0, -1, 0]  # the sky is on top
    assert 10 < upright.sum() < 54


def test_larger_pictures_are_drawn_more_often(own_copy):
    folder = own_copy / "train/clean/photos"
    for path in folder.iterdir():
        Image.new("RGB", (40, 40)).save(path)
    Image.new("RGB", (280, 40), "white").save(folder / "p0.png")
    training, _ = load_pictures(own_copy, ["photos"])  # 6 × 1,600 pixels of black, 11,200 of white
    patches = training.draw(training.pool(["photos"]), 2000, 16, seeded())
    assert patches.clean[:, 0, 0, 0].mean() == pytest.approx(11200 / 20800, abs=0.03)


def test_a_patch_larger_than_a_picture_is_an_error(tiny_data):
    training, _ = load_pictures(tiny_data, ["photos"])
    with pytest.raises(DataError, match="88"):
        training.draw(training.pool(["photos"]), 1, 88, seeded())


def test_pictures_may_be_left_out_and_all_their_pairs_with_them(tiny_data):
    training, validation = load_pictures(tiny_data, ["rain_real"], leave_out={"rain_real": ("s1", "s5")})
    # Scene s5 is the one that is held out; which one is does not change by what is left out.
    assert training.counts() == {"rain_real": 18} and validation.counts() == {}


def test_pictures_are_cut_to_multiples_about_their_centre(tiny_data):
    whole, _ = load_pictures(tiny_data, ["lowlight"], hold_out_every=0)
    cut, _ = load_pictures(tiny_data, ["lowlight"], hold_out_every=0, crop_multiple=16)  # 80 × 88 → 80 × 80
    assert whole.counts() == {"lowlight": 8} and cut.smallest_side == 80
    seen = cut.draw(cut.pool(["lowlight"]), 32, 80, seeded()).clean
    allowed = {
        bytes((np.asarray(Image.open(path))[:, 4:84]).sum((0, 1)).astype(np.int64))
        for path in (tiny_data / "train/lowlight/normal").iterdir()
    }
    sums = (seen * 255).round().sum((2, 3)).long().numpy()
    assert {bytes(row) for row in sums} <= allowed


def test_a_set_that_is_not_there_is_named_with_where_it_was_looked_for(own_copy):
    shutil.rmtree(own_copy / "train/blur/sharp")
    with pytest.raises(DataError, match=r"'blur', which is not there; looked for blur/\{blurred,sharp\}"):
        load_pictures(own_copy, ["blur"])
    for path in (own_copy / "train/clean/photos").iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"'photos', which is not there; looked for clean/photos"):
        load_pictures(own_copy, ["photos"])
    with pytest.raises(DataError, match="nowhere is not a folder"):
        load_pictures(own_copy / "nowhere", ["blur"])


def test_few_pictures_are_all_for_training(own_copy):
    for number in range(5, 8):
        (own_copy / f"train/clean/photos/p{number}.png").unlink()
    training, validation = load_pictures(own_copy, ["photos"])
    assert (training.counts(), validation.counts(), validation.smallest_side) == ({"photos": 5}, {}, 0)


def test_a_missing_partner_is_named(own_copy):
    (own_copy / "train/rain_real/clean/s3.png").unlink()
    with pytest.raises(
        DataError, match=r"s3_rain-0\.png has no partner: there is no picture 's3' in .*clean"
    ):
        load_pictures(own_copy, ["rain_real"])


def test_a_pair_of_two_sizes_is_named(own_copy):
    Image.new("RGB", (88, 81)).save(own_copy / "train/lowlight/low/4.png")
    with pytest.raises(DataError, match=r"low.4\.png: its size \(81, 88\)"):
        load_pictures(own_copy, ["lowlight"])
