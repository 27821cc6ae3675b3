import numpy as np
import pytest
import torch

from anyir.data.store import PictureStore
from anyir.errors import ShapeMismatch


@pytest.fixture
def pictures():
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (h, w, 3), dtype=np.uint8) for h, w in ((20, 31), (17, 16), (40, 25))]


def test_crops_are_the_pictures_own_pixels(pictures):
    store = PictureStore(pictures)
    index, top, left = torch.tensor([2, 0, 1, 2]), torch.tensor([24, 3, 1, 0]), torch.tensor([9, 15, 0, 4])
    crops = store.crop(index, top, left, 16)
    assert crops.shape == (4, 3, 16, 16) and crops.dtype == torch.float32
    for crop, i, y, x in zip(crops, index, top, left, strict=True):
        expected = pictures[i][y : y + 16, x : x + 16].transpose(2, 0, 1) / 255
        np.testing.assert_allclose(crop.numpy(), expected, atol=1e-7)


def test_no_picture_gives_zeros(pictures):
    place = torch.tensor([0, 5])
    crops = PictureStore(pictures).crop(torch.tensor([-1, 2]), place, place, 8)
    assert not crops[0].any() and crops[1].any()
    assert not PictureStore([]).crop(torch.tensor([-1, -1]), place, place, 8).any()


@pytest.mark.parametrize(
    "bad", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 1), np.uint8), np.zeros((4, 4, 3), float)]
)
def test_refuses_other_arrays(bad):
    with pytest.raises(ShapeMismatch):
        PictureStore([bad])
