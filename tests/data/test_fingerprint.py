import io

import numpy as np
import pytest
from PIL import Image

from anyir.data.fingerprint import (
    ALIKE,
    Match,
    find_alike,
    find_duplicates,
    fingerprint,
    fingerprint_files,
)
from anyir.data.layouts import picture_files
from anyir.errors import ShapeMismatch, UnreadablePicture
from anyir.picture import read_image


def structured(seed, height=160, width=240):
    """Blocks of many sizes over a slope, like the large shapes of a photograph; never the same for two seeds."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    image = (x * random.uniform(-0.3, 0.3) + y * random.uniform(-0.3, 0.3))[..., None] + random.uniform(
        90, 160, 3
    )
    for size in (100, 70, 50, 35, 25, 25, 18, 18, 12, 12):
        top, left = (
            random.integers(-size // 2, height - size // 2),
            random.integers(-size // 2, width - size // 2),
        )
        image[max(top, 0) : top + size, max(left, 0) : left + size] = random.uniform(20, 235, 3)
    return image.clip(0, 255).astype(np.uint8)


def saved(image, kind, **options):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind, **options)
    return np.asarray(Image.open(buffer).convert("RGB"))


def jpeg(image):
    return saved(image, "JPEG", quality=90)


def scaled(image, factor):
    size = (round(image.shape[1] * factor), round(image.shape[0] * factor))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))


def gamma(image, exponent):
    return np.rint(255 * (image / 255) ** exponent).astype(np.uint8)


def noisy(image):
    noise = np.random.default_rng(5).normal(0, 25, image.shape)
    return (image + noise).round().clip(0, 255).astype(np.uint8)


def rainy(image):
    """Bright slanted streaks over an eighth of the picture."""
    random, streaks = np.random.default_rng(6), np.zeros(image.shape[:2])
    for top, left in zip(random.integers(0, 140, 250), random.integers(0, 230, 250), strict=True):
        rows = np.arange(20)
        streaks[top + rows, left + rows // 3] = 120
    return (image + streaks[..., None]).clip(0, 255).astype(np.uint8)


CHANGES = {
    "less the top row": lambda image: jpeg(image[1:]),
    "less the bottom row": lambda image: jpeg(image[:-1]),
    "less the left column": lambda image: jpeg(image[:, 1:]),
    "less the right column": lambda image: jpeg(image[:, :-1]),
    "half size": lambda image: scaled(image, 0.5),
    "twice the size": lambda image: scaled(image, 2),
    "lossy WebP": lambda image: saved(image, "WEBP", quality=80),
    "lossless WebP": lambda image: saved(image, "WEBP", lossless=True),
    "darker": lambda image: (image * 0.85).astype(np.uint8),
    "brighter": lambda image: (image * 1.15).clip(0, 255).astype(np.uint8),
    "gamma 0.8": lambda image: gamma(image, 0.8),
    "gamma 1.25": lambda image: gamma(image, 1.25),
    "noisy": noisy,
    "rainy": rainy,
    "mirrored": lambda image: jpeg(image[1:, ::-1]),
}


@pytest.fixture(scope="module")
def others():
    """Two hundred different pictures."""
    return {f"{seed:03}": fingerprint(structured(seed)) for seed in range(200)}


def test_different_pictures_are_not_alike(others):
    assert find_duplicates(others) == []


@pytest.mark.parametrize("change", CHANGES)
def test_changed_copies_are_found_and_nothing_else_is(others, change):
    copies = {f"copy {seed}": fingerprint(CHANGES[change](structured(seed))) for seed in range(0, 200, 20)}
    found = find_alike(copies, others)
    assert {(m.ours, m.theirs) for m in found} == {
        (f"copy {seed}", f"{seed:03}") for seed in range(0, 200, 20)
    }
    assert all(ALIKE <= m.similarity <= 1 for m in found)


def test_upside_down_or_negative_is_another_picture():
    image = structured(3)
    for other in (image[::-1], image[::-1, ::-1], 255 - image, structured(4)):
        assert find_alike({"a": fingerprint(image)}, {"b": fingerprint(np.ascontiguousarray(other))}) == []


def even(colour):
    return np.full((60, 80, 3), colour, np.uint8)


def sky(top, bottom):
    rows = np.linspace(top, bottom, 60)[:, None, None] + np.array([-20.0, 0, 20])
    return np.broadcast_to(rows, (60, 80, 3)).round().astype(np.uint8)


def test_plain_pictures_are_judged_by_their_colours():
    """Grey and green of one brightness, black, skies that darken the same way by other amounts, and one black wave."""
    wave = even(0)
    wave[:, 10:20] = 1
    plain = {
        "black": even(0),
        "wave": wave + np.uint8(4),
        "green": even((0, 170, 0)),
        "grey": even(100),
        "noisy": noisy(np.full((480, 320, 3), 150, np.uint8)),
        "sky": sky(220, 160),
        "darker sky": sky(200, 150),
        "paler sky": sky(220, 200),
        "picture": structured(1),
    }
    prints = {name: fingerprint(image) for name, image in plain.items()}
    assert find_duplicates(prints) == []
    copies = {name: fingerprint(jpeg(image[1:])) for name, image in plain.items()}
    assert [(m.ours, m.theirs) for m in find_alike(copies, prints)] == [(n, n) for n in sorted(plain)]


def test_plain_pictures_are_found_in_any_place_of_a_large_collection(others, monkeypatch):
    """Blocks of few rows, so that plain pictures' numbers must be those of the whole collection, not of a block."""
    monkeypatch.setattr("anyir.data.fingerprint._BLOCK", 7 * len(others))
    plain = {f"{place:03} plain": fingerprint(even(40 + place)) for place in (3, 50, 51, 199)}
    found = find_alike(others | plain, plain | {"007": others["007"]})
    same = [("007", "007"), *((key, key) for key in plain)]
    one_level_apart = [("050 plain", "051 plain"), ("051 plain", "050 plain")]
    assert [(m.ours, m.theirs) for m in found] == sorted(same + one_level_apart)


def test_results_do_not_depend_on_order(others):
    ours = dict(others) | {"a copy of 030": fingerprint(jpeg(structured(30))), "a 2nd": others["030"]}
    backwards = dict(reversed(ours.items()))
    found = find_duplicates(ours)
    pairs = [("030", "a 2nd"), ("030", "a copy of 030"), ("a 2nd", "a copy of 030")]
    assert [(m.ours, m.theirs) for m in found] == pairs
    assert find_duplicates(backwards) == found
    assert find_alike(backwards, others) == find_alike(ours, others)


def test_equal_pictures_have_equal_fingerprints():
    one, same, other = (fingerprint(structured(seed)) for seed in (1, 1, 2))
    assert one == same and hash(one) == hash(same) and one != other
    assert len(one.brightness) == 512
    assert fingerprint(even((10, 20, 30))).colour == pytest.approx((10, 20, 30), abs=1e-3)
    (match,) = find_alike({1: one}, {2: same})
    assert match == Match(1, 2, pytest.approx(1, abs=1e-5))


def test_nothing_to_compare():
    assert find_alike({}, {"a": fingerprint(even(1))}) == find_alike({"a": fingerprint(even(1))}, {}) == []
    assert find_duplicates({}) == find_duplicates({"a": fingerprint(structured(1))}) == []


@pytest.mark.parametrize(
    "bad", [np.zeros((4, 4), np.uint8), np.zeros((4, 0, 3), np.uint8), np.zeros((4, 4, 3), float)]
)
def test_refuses_other_arrays(bad):
    with pytest.raises(ShapeMismatch):
        fingerprint(bad)


def test_a_single_pixel_has_a_fingerprint():
    pixel = fingerprint(np.full((1, 1, 3), 77, np.uint8))
    assert find_alike({"a": pixel}, {"b": fingerprint(even(77))})


def test_files_are_read_and_damaged_ones_named(tmp_path):
    Image.fromarray(structured(1)).save(tmp_path / "a.png")
    assert fingerprint_files([tmp_path / "a.png"]) == {tmp_path / "a.png": fingerprint(structured(1))}
    (tmp_path / "b.png").write_bytes(b"no picture")
    with pytest.raises(UnreadablePicture, match=r"b\.png"):
        fingerprint_files([tmp_path / "b.png"])


def test_a_planted_test_picture_is_found_among_real_ones(data_dir):
    test_pictures = fingerprint_files(picture_files(data_dir / "test" / "CBSD68"))
    training = fingerprint_files(picture_files(data_dir / "train" / "clean" / "bsds")[:100])
    assert find_alike(training, test_pictures) == []
    stolen = sorted(test_pictures)[17]
    planted = data_dir / "planted.jpg"  # a key; never written
    found = find_alike(training | {planted: fingerprint(jpeg(read_image(stolen)[1:]))}, test_pictures)
    assert [(m.ours, m.theirs) for m in found] == [(planted, stolen)]
    assert found[0].similarity > 0.95
