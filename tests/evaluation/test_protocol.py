from __future__ import annotations

import shutil
from math import erf, pi, sqrt
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anyir.errors import DataError, ShapeMismatch
from anyir.evaluation.metrics import psnr
from anyir.evaluation.protocol import (
    PSNR_CAP,
    NoiseRounding,
    Protocol,
    add_noise,
    black_and_white,
    conventions,
    crop,
    degraded_and_clean,
    evaluate_set,
    noise_generator,
)
from anyir.evaluation.results import SetResult
from anyir.evaluation.sets import SETS, find_pairs
from anyir.picture import read_image, write_image


def random_image(seed: int, height: int = 32, width: int = 48) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def cbsd68(folder: Path, names: str) -> Path:
    """A made-up CBSD68; a picture's content depends on its name alone."""
    (folder / "CBSD68").mkdir(parents=True)
    for name in names:
        write_image(random_image(ord(name)), folder / "CBSD68" / f"{name}.png")
    return folder


def run(folder: Path, name: str, restore=lambda image: image, protocol: Protocol | None = None) -> SetResult:
    pairs = find_pairs(folder, SETS[name])
    assert pairs
    return evaluate_set(pairs, SETS[name], restore, protocol or Protocol())


def images_of_the_first(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the first picture of a set: the levels of its clean file, cropped; the degraded and the clean image."""
    pairs = find_pairs(folder, SETS[name])
    assert pairs
    return crop(read_image(pairs[0].clean)), *degraded_and_clean(pairs[0], SETS[name], Protocol())


def test_crop_keeps_the_centre():
    rows, columns = np.mgrid[:321, :481].astype(np.uint16)
    image = np.stack([rows % 256, columns % 256, columns // 256], axis=-1).astype(np.uint8)
    cropped = crop(image[3:, :470])  # 318×470: 14 rows and 6 columns too many
    assert cropped.shape == (304, 464, 3)
    assert np.array_equal(cropped, image[3 + 7 : 3 + 7 + 304, 3 : 3 + 464])
    assert np.array_equal(crop(image), image[:320, :480])  # the one extra row and column go at the end


def test_crop_leaves_multiples_of_16_alone_and_refuses_less_than_16():
    assert crop(random_image(0)).shape == (32, 48, 3)
    with pytest.raises(ShapeMismatch, match="100×15"):
        crop(random_image(0, 15, 100))


@pytest.mark.parametrize("sigma", [15, 25, 50])
def test_noise_has_the_mean_and_deviation_asked_for(sigma):
    grey = np.full((300, 300, 3), 128, dtype=np.uint8)
    noise = add_noise(grey, sigma, noise_generator(0, "grey", sigma), NoiseRounding.ROUND) - 128.0
    if sigma < 50:  # at 50, one value in a hundred is clipped
        assert noise.std() == pytest.approx(sqrt(sigma**2 + 1 / 12), rel=0.01)
    assert noise.mean() == pytest.approx(0, abs=4 * sigma / sqrt(noise.size))


def test_noise_is_clipped_and_not_wrapped():
    sigma = 50.0
    black = np.zeros((300, 300, 3), dtype=np.uint8)
    noisy = add_noise(black, sigma, noise_generator(0, "black", sigma), NoiseRounding.ROUND)
    # Half of a Gaussian is cut off: the mean of max(0, n) is σ / √(2π); values that round to 0 stay 0.
    assert noisy.mean() == pytest.approx(sigma / sqrt(2 * pi), rel=0.01)
    assert (noisy == 0).mean() == pytest.approx(0.5 * (1 + erf(0.5 / sigma / sqrt(2))), abs=0.004)


def test_truncating_darkens_by_half_a_grey_level():
    image = random_image(5, 320, 480)
    noisy = {
        rounding: add_noise(image, 25, noise_generator(0, "x", 25), rounding).astype(float)
        for rounding in NoiseRounding
    }
    bias = (noisy[NoiseRounding.TRUNCATE] - noisy[NoiseRounding.ROUND]).mean()
    assert bias == pytest.approx(-0.47, abs=0.03)


def test_noise_depends_on_seed_name_and_sigma_and_on_nothing_else():
    def draw(*key):
        return noise_generator(*key).standard_normal(4).tolist()

    assert draw(0, "a", 25) == draw(0, "a", 25.0)
    assert (
        len({tuple(draw(*key)) for key in [(0, "a", 25), (1, "a", 25), (0, "\udce9", 25), (0, "a", 50)]}) == 4
    )


def test_noise_is_the_same_today_as_when_results_were_published():
    noisy = add_noise(
        np.full((1, 2, 3), 128, np.uint8), 25, noise_generator(0, "101085", 25), NoiseRounding.ROUND
    )
    assert noisy.ravel().tolist() == [107, 97, 148, 142, 88, 138]


def test_numbers_do_not_depend_on_order_on_other_files_or_on_the_folder(tmp_path):
    three = run(cbsd68(tmp_path / "one", "abc"), "cbsd68-25")
    two = run(cbsd68(tmp_path / "deeper" / "other", "cb"), "cbsd68-25")
    scores = {image.name: image.degraded for image in three.images}
    assert [image.name for image in two.images] == ["b", "c"]
    for image in two.images:
        assert image.degraded == scores[image.name]
    pairs = find_pairs(tmp_path / "one", SETS["cbsd68-25"])
    assert pairs
    shuffled = evaluate_set(pairs[::-1], SETS["cbsd68-25"], lambda image: image, Protocol())
    assert {image.name: image.degraded for image in shuffled.images} == scores


def test_the_seed_changes_the_numbers(tmp_path):
    folder = cbsd68(tmp_path, "a")
    first, again, other = (run(folder, "cbsd68-25", protocol=Protocol(seed)).psnr for seed in (7, 7, 8))
    assert first == again != other


def test_the_network_gets_the_degraded_image_and_is_scored_against_the_clean_one(tmp_path):
    clean = np.full((33, 47, 3), 100, np.uint8)  # to be cropped to 32×32
    for part, offset in (("input", 51), ("target", 0)):
        (tmp_path / "Rain100L" / part).mkdir(parents=True)
        write_image(clean + np.uint8(offset), tmp_path / "Rain100L" / part / "1.png")
    seen = []

    def halve_the_error(image):
        seen.append(image)
        return image - np.float32(0.1)

    image = run(tmp_path, "rain100l", halve_the_error).images[0]
    assert seen[0].shape == (32, 32, 3) and seen[0].dtype == np.float32
    assert seen[0].min() == seen[0].max() == np.float32(151 / 255)
    assert image.degraded is not None and image.degraded.psnr == pytest.approx(13.979, abs=0.001)  # error 0.2
    assert image.restored.psnr == pytest.approx(20.0, abs=0.001)  # error 0.1, not rounded to 8 bits
    assert (image.height, image.width) == (32, 32)


def test_luma_is_that_of_bt_601():
    primaries = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [10, 20, 40]]], np.uint8)
    luma = black_and_white(primaries)
    assert luma.shape == (1, 5, 1) and luma.dtype == np.uint8
    assert luma.ravel().tolist() == [76, 150, 29, 255, 19]
    levels = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    assert np.array_equal(black_and_white(levels), levels[..., :1])


def test_black_and_white_pictures_have_one_noise_in_three_channels(tmp_path):
    folder = cbsd68(tmp_path, "a")
    whole, degraded, clean = images_of_the_first(folder, "cbsd68-grey-25")
    assert degraded.shape == clean.shape == (32, 48, 3) and degraded.dtype == np.float32
    for image in (degraded, clean):
        assert np.array_equal(image, np.repeat(image[..., :1], 3, axis=2))
    luma = black_and_white(whole)
    assert np.array_equal(clean[..., :1] * np.float32(255), luma)
    noisy = add_noise(luma, 25, noise_generator(0, "a", 25), NoiseRounding.ROUND)
    assert np.array_equal(np.rint(degraded[..., :1] * 255), noisy)
    result = run(folder, "cbsd68-grey-25", protocol=Protocol(variants=True))
    assert result.images[0].degraded is not None and "other-noise" in result.images[0].variants


def test_of_a_pair_in_black_and_white_both_are_so(tmp_path):
    low, high = (random_image(seed) for seed in (5, 6))
    for part, levels in (("low", low), ("high", high)):
        (tmp_path / "eval15" / part).mkdir(parents=True)
        write_image(levels, tmp_path / "eval15" / part / "1.png")
    _, degraded, clean = images_of_the_first(tmp_path, "lolv1-grey")
    for shown, levels in ((degraded, low), (clean, high)):
        assert np.array_equal(np.rint(shown * 255), np.repeat(black_and_white(levels), 3, axis=2))
    assert run(tmp_path, "lolv1-grey").images[0].restored.psnr == psnr(degraded, clean)


def test_a_compressed_picture_is_what_a_jpeg_file_of_it_shows(tmp_path):
    folder = cbsd68(tmp_path, "a")
    whole, degraded, clean = images_of_the_first(folder, "cbsd68-jpeg-30")
    assert np.array_equal(clean, whole / np.float32(255))
    Image.fromarray(whole).save(tmp_path / "a.jpg", quality=30, subsampling="4:2:0")
    assert np.array_equal(np.rint(degraded * 255), read_image(tmp_path / "a.jpg"))
    result = run(folder, "cbsd68-jpeg-30", protocol=Protocol(variants=True))
    assert result.images[0].degraded is not None and "other-noise" not in result.images[0].variants


@pytest.mark.parametrize("name", ["cbsd68-25", "cbsd68-grey-25", "cbsd68-jpeg-30", "clean"])
def test_the_images_of_a_picture_are_those_that_its_numbers_are_of(tmp_path, name):
    pairs = find_pairs(cbsd68(tmp_path, "ab"), SETS[name])
    assert pairs is not None
    results = run(tmp_path, name, lambda image: image * 0.5)
    for pair, result in zip(pairs, results.images, strict=True):
        degraded, clean = degraded_and_clean(pair, SETS[name], Protocol())
        assert clean.dtype == degraded.dtype == np.float32
        assert psnr(degraded * 0.5, clean) == result.restored.psnr
        assert np.array_equal(degraded, clean) == (name == "clean")


def test_output_is_clipped_before_scoring(tmp_path):
    (tmp_path / "CBSD68").mkdir()
    write_image(np.full((16, 16, 3), 255, np.uint8), tmp_path / "CBSD68" / "white.png")
    assert run(tmp_path, "clean", lambda image: image + 3).psnr == PSNR_CAP


def test_clean_pictures_have_no_input_score_and_a_finite_best_one(tmp_path):
    result = run(cbsd68(tmp_path, "ab"), "clean")
    assert (result.input_psnr, result.input_ssim, result.gain) == (None, None, None)
    assert result.psnr == PSNR_CAP == 100
    dimmed = run(tmp_path, "clean", lambda image: image * np.float32(0.99))
    assert 35 < dimmed.psnr < 50


def test_a_complete_official_set_is_official_and_part_of_it_is_not(tmp_path):
    (tmp_path / "Rain100L" / "input").mkdir(parents=True)
    for index in range(100):
        write_image(random_image(index, 16, 16), tmp_path / "Rain100L" / "input" / f"{index}.png")
    shutil.copytree(tmp_path / "Rain100L" / "input", tmp_path / "Rain100L" / "target")
    assert run(tmp_path, "rain100l").official
    (tmp_path / "Rain100L" / "input" / "7.png").unlink()
    assert not run(tmp_path, "rain100l").official


def test_a_pair_of_different_sizes_is_refused(tmp_path):
    for part, height in (("input", 32), ("target", 33)):
        (tmp_path / "Rain100L" / part).mkdir(parents=True)
        write_image(random_image(0, height, 40), tmp_path / "Rain100L" / part / "1.png")
    with pytest.raises(
        DataError, match=r"input.1\.png is 40×32 but its clean partner .*target.1\.png is 40×33"
    ):
        run(tmp_path, "rain100l")


def test_a_picture_that_is_too_small_is_named(tmp_path):
    (tmp_path / "CBSD68").mkdir()
    write_image(random_image(0, 12, 40), tmp_path / "CBSD68" / "tiny.png")
    with pytest.raises(DataError, match=r"tiny\.png: .*40×12"):
        run(tmp_path, "cbsd68-25")


def test_conventions_say_what_was_chosen():
    words = conventions(Protocol(seed=3, noise_rounding=NoiseRounding.TRUNCATE))
    assert "truncate" in words["noise"] and "seed 3" in words["noise"]
    assert "truncate" not in conventions(Protocol())["noise"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "whole", "cropped"),
    [
        ("rain100l", 25.52, 25.52),
        ("lolv1", 7.77, 7.77),
        ("sots-indoor-partial", 13.25, 13.21),
        ("blur-partial", 25.28, 25.28),
        ("haze-partial", 14.76, 14.77),
        ("sots-outdoor-two", 18.25, 18.30),
        ("polyu-partial", 35.81, 35.81),
    ],
)
def test_inputs_score_what_is_known_of_them(data_dir, name, whole, cropped):
    """Whole pictures score what their collection says; the crop changes those not of multiples of 16."""
    pairs = find_pairs(data_dir / "test", SETS[name])
    if pairs is None:
        pytest.skip(f"no {name} there")
    assert len(pairs) == SETS[name].expected
    images = [(read_image(pair.degraded), read_image(pair.clean)) for pair in pairs if pair.degraded]
    assert np.mean([psnr(a / 255, b / 255) for a, b in images]) == pytest.approx(whole, abs=0.006)
    result = evaluate_set(pairs, SETS[name], lambda image: image, Protocol())
    assert result.input_psnr == pytest.approx(cropped, abs=0.006)


def test_expected_noise_psnr_on_photographs(data_dir):
    """Uniform grey 128 at σ = 25 would score 20.17 dB; clipping in dark and bright parts adds to it."""
    pairs = find_pairs(data_dir / "test", SETS["cbsd68-25"])
    if pairs is None:
        pytest.skip("no CBSD68 there")
    result = evaluate_set(pairs[:6], SETS["cbsd68-25"], lambda image: image, Protocol())
    assert result.input_psnr is not None and 20.17 < result.input_psnr < 21.2
