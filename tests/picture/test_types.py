from __future__ import annotations

from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from anyir.errors import ShapeMismatch, UsageError
from anyir.picture import Metadata, Picture

RGB = np.zeros((4, 6, 3), np.uint8)


@pytest.mark.parametrize(
    ("pixels", "alpha"),
    [
        (np.zeros((4, 6), np.uint8), None),
        (np.zeros((4, 6, 1), np.uint8), None),
        (np.zeros((4, 6, 4), np.uint8), None),
        (np.zeros((1, 4, 6, 3), np.uint8), None),
        (np.zeros((0, 6, 3), np.uint8), None),
        (np.zeros((4, 6, 3), np.float32), None),
        (np.zeros((4, 6, 3), np.int16), None),
        ([[[0, 0, 0]]], None),
        (RGB, np.zeros((6, 4), np.uint8)),
        (RGB, np.zeros((4, 6, 1), np.uint8)),
        (RGB, np.zeros((4, 6), np.uint16)),
        (RGB, np.zeros((4, 6), bool)),
    ],
)
def test_arrays_of_a_wrong_shape_or_type_are_refused(pixels, alpha):
    with pytest.raises(ShapeMismatch):
        Picture(pixels, alpha)


def test_an_unknown_format_is_refused():
    with pytest.raises(UsageError, match=r"'jpg'.*jpeg"):
        Picture(RGB, format="jpg")


def test_size_and_depth():
    picture = Picture(np.zeros((4, 6, 3), np.uint16))
    assert (picture.height, picture.width, picture.depth) == (4, 6, 16)


def test_other_pixels_keep_all_else_and_must_fit():
    picture = Picture(RGB, np.ones((4, 6), np.uint8), "webp", grey=True, metadata=Metadata(dpi=(72, 72)))
    other = picture.with_pixels(RGB + np.uint8(9))
    assert other.pixels[0, 0, 0] == 9 and picture.pixels[0, 0, 0] == 0
    assert other.alpha is picture.alpha and other.metadata is picture.metadata
    assert (other.format, other.grey) == ("webp", True)
    for wrong in (np.zeros((6, 4, 3), np.uint8), np.zeros((4, 6, 3), np.uint16), np.zeros((4, 6, 3))):
        with pytest.raises(ShapeMismatch, match=r"new pixels|pixels must be"):
            picture.with_pixels(wrong)


def test_a_picture_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        Picture(RGB).grey = True
