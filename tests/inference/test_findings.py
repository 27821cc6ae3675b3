import json

import numpy as np
import pytest

from anyir.errors import ShapeMismatch
from anyir.inference import findings
from anyir.inference.findings import find, from_json, look_at, to_json


def noisy(sigma_255, height=200, width=300, level=128.0):
    random = np.random.default_rng(1)
    image = level + sigma_255 * random.standard_normal((height, width, 3))
    return image.clip(0, 255).round().astype(np.uint8)


def grey(level, height=40, width=60):
    return np.full((height, width, 3), level, np.uint8)


@pytest.mark.parametrize("sigma_255", [5, 15, 25])
def test_noise_is_found_within_a_twentieth(sigma_255):
    assert look_at(noisy(sigma_255)).noise == pytest.approx(sigma_255, rel=0.05)


def test_edges_and_slopes_are_no_noise():
    y, x = np.mgrid[0:200, 0:300]
    image = np.repeat((x / 2 + y / 4 + 60 * (x // 40 % 2))[..., None] % 256, 3, axis=2).astype(np.uint8)
    assert look_at(image).noise < 0.5


def test_sixteen_bits_give_what_eight_bits_give():
    image = noisy(15)
    eight, sixteen = look_at(image), look_at(image.astype(np.uint16) * np.uint16(257))
    assert sixteen.noise == pytest.approx(eight.noise, rel=1e-4)
    assert sixteen.brightness == pytest.approx(eight.brightness, rel=1e-4)
    other = (image // 2).astype(np.uint16) * np.uint16(257)
    small, large = (
        find(image, image // 2).change,
        find(image.astype(np.uint16) * np.uint16(257), other).change,
    )
    assert large.mean == pytest.approx(small.mean)
    assert large.largest == small.largest


def test_a_blurred_edge_is_less_sharp_by_as_much_as_it_is_wide():
    def edge(width):
        ramp = np.clip((np.arange(60) - 30) / width, 0, 1) * 200
        return np.broadcast_to(ramp[None, :, None], (40, 60, 3)).astype(np.uint8)

    assert look_at(edge(1)).sharpness == pytest.approx(
        100
    )  # 200 levels within 2 pixels, by central differences
    assert look_at(edge(8)).sharpness == pytest.approx(25)


def test_exposure_is_mean_luma_and_what_is_lost_at_both_ends():
    image = grey(100)
    image[:10] = 0
    image[10:15] = 255
    reading = look_at(image)
    assert reading.brightness == pytest.approx((5 * 255 + 25 * 100) / 40)
    assert (reading.dark, reading.bright) == (0.25, 0.125)
    green = np.zeros((4, 4, 3), np.uint8)
    green[..., 1] = 200
    assert look_at(green).brightness == pytest.approx(0.587 * 200)


def test_change_says_how_much_and_where():
    before, after = grey(100, 80, 160), grey(100, 80, 160)
    after[50:60, 120:140] = 90
    after[3, 5, 1] = 160
    change = find(before, after).change
    assert change.largest == 60
    assert change.largest_at == (5, 3)
    assert change.area == (120, 50, 20, 10)
    assert change.area_mean == 10
    assert change.mean == pytest.approx((200 * 30 + 60) / (80 * 160 * 3))


def test_the_pieces_of_a_picture_do_not_show(monkeypatch):
    before, after = noisy(20, 90, 70), noisy(10, 90, 70)
    whole = find(before, after).change
    monkeypatch.setattr(findings, "PIECE", 70 * 4)
    assert find(before, after).change == whole


def test_of_a_large_picture_a_sample_is_judged_that_reaches_from_top_to_bottom(monkeypatch):
    monkeypatch.setattr(findings, "SAMPLE", 50)
    image = np.zeros((1000, 50, 3), np.uint8)
    image[500:] = 200
    assert look_at(image).brightness == 100
    assert look_at(np.concatenate([noisy(15, 1000, 50)])).noise == pytest.approx(15, rel=0.1)


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 2), (3, 3)])
def test_the_smallest_pictures_have_findings_too(shape):
    before = np.full((*shape, 3), 10, np.uint8)
    found = find(before, before + np.uint8(5))
    assert (found.change.mean, found.change.largest, found.change.largest_at) == (5, 5, (0, 0))
    assert (found.before.noise, found.before.sharpness, found.after.brightness) == (0, 0, pytest.approx(15))


@pytest.mark.parametrize(
    ("before", "after", "warnings"),
    [
        (grey(100), grey(120), ()),
        (grey(100), grey(0), ("100.0% of it became black",)),
        (grey(255), grey(255), ()),
        (grey(100), grey(255), ("100.0% of it became white",)),
        (noisy(0), noisy(10), ("noise seems to have risen from 0.0 to 9.9",)),
        (noisy(10), noisy(0), ()),
    ],
)
def test_warnings_name_what_was_lost(before, after, warnings):
    assert find(before, after).warnings == warnings


def test_findings_survive_a_file():
    found = find(noisy(15), noisy(5))
    values = json.loads(json.dumps(to_json(found)))
    assert values["before"]["noise"] == pytest.approx(found.before.noise, abs=0.005)
    assert from_json(values).change.area == found.change.area
    assert to_json(from_json(values)) == values
    with pytest.raises(KeyError):
        from_json({"change": {}})
    with pytest.raises(TypeError):
        from_json({**values, "before": {"noise": 1}})


def test_images_that_do_not_belong_together_are_refused():
    with pytest.raises(ShapeMismatch, match=r"\(40, 60, 3\) uint8 and \(40, 61, 3\) uint8"):
        find(grey(1), grey(1, 40, 61))
    with pytest.raises(ShapeMismatch, match="uint16"):
        find(grey(1), grey(1).astype(np.uint16))
