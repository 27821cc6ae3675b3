"""Pictures in files give what pictures in memory give, to the bit."""

import shutil
from collections import Counter
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from anyir.data import catalogue
from anyir.data.catalogue import load_pictures
from anyir.data.epochs import Epochs
from anyir.data.files import FileStore
from anyir.data.mixture import TASKS, Mixture
from anyir.data.store import PictureStore
from anyir.errors import DataError, UnreadablePicture
from anyir.picture import read_image

TINY = ("bsds", "photos", "street", "lowlight", "blur", "noise_real", "rain_real")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def own_copy(tiny_data, tmp_path):
    return shutil.copytree(tiny_data, tmp_path / "copy")


@pytest.fixture(scope="module", params=[1, 16])
def both(tiny_data, request):
    """The training pictures in memory and in files; cut to multiples of 16, the labels of bsds are cut too."""
    load = partial(load_pictures, tiny_data, TINY, crop_multiple=request.param)
    return load()[0], load(loading="files")[0]


@pytest.fixture
def tasks(monkeypatch):
    """The tasks that the tiny folder has pictures for."""
    small = {n: replace(t, sources=tuple(s for s in t.sources if s in TINY)) for n, t in TASKS.items()}
    small = {name: t for name, t in small.items() if t.sources and set(t.lenders) <= set(TINY)}
    monkeypatch.setattr("anyir.data.mixture.TASKS", small)
    monkeypatch.setattr("anyir.data.epochs.TASKS", small)
    return small


def test_both_know_the_same_of_the_pictures(both):
    memory, files = both
    assert files.counts() == memory.counts() and files.rows == memory.rows and files.sources == memory.sources
    assert files.smallest_side == memory.smallest_side > 0
    ours, theirs = files.pool(TINY), memory.pool(TINY)
    assert torch.equal(ours.rows, theirs.rows) and ours.smallest_side == theirs.smallest_side
    assert torch.equal(ours.cumulative_weight, theirs.cumulative_weight)
    assert memory.fingerprints and not files.fingerprints


@pytest.mark.parametrize("zoom", [1, 2])
def test_patches_have_the_same_bits(both, zoom):
    memory, files = both
    for source in TINY:  # with clean pictures only, with depth, with pairs
        ours, theirs = (p.draw(p.pool([source]), 24, 32, seeded(3), zoom=zoom) for p in (files, memory))
        assert ours.has_depth.all() == (source in ("bsds", "street"))
        for name in ("clean", "degraded", "depth", "has_depth"):
            assert torch.equal(getattr(ours, name), getattr(theirs, name)), (source, name)


def test_batches_of_a_mixture_have_the_same_bits(both, tasks):
    memory, files = (Mixture(dict.fromkeys(tasks, 1.0), pictures, scales=True) for pictures in both)
    for seed in range(3):
        ours, theirs = files.batch(40, 32, seeded(seed)), memory.batch(40, 32, seeded(seed))
        assert torch.equal(ours.degraded, theirs.degraded) and torch.equal(ours.clean, theirs.clean)


def test_batches_of_epochs_have_the_same_bits(both, tasks):
    repeats = {"noise25": 1, "lowlight": 2, "rain_real": 1}
    memory, files = (Epochs(repeats, pictures, seed=5) for pictures in both)
    assert files.samples == memory.samples
    for first in (0, files.length - 3):  # the second spans two epochs
        ours, theirs = files.batch(first, 8, 32, seeded(first)), memory.batch(first, 8, 32, seeded(first))
        assert torch.equal(ours.degraded, theirs.degraded) and torch.equal(ours.clean, theirs.clean)


def test_a_picture_is_read_once_for_all_its_crops_and_not_before(tmp_path):
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, (20 + n, 30 - n, 3), dtype=np.uint8) for n in range(3)]
    paths = [tmp_path / f"{n}.png" for n in range(3)]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path)
    seen = Counter()

    def read(path):
        seen[path.name] += 1
        return read_image(path)

    store, memory = FileStore(paths, read), PictureStore(images)
    assert len(store) == 3 and not seen
    assert store.heights.tolist() == [20, 21, 22] and store.widths.tolist() == [30, 29, 28]
    index, top, left = torch.tensor([2, -1, 0, 2]), torch.tensor([14, 0, 3, 0]), torch.tensor([20, 0, 1, 5])
    assert torch.equal(store.crop(index, top, left, 8), memory.crop(index, top, left, 8))
    assert seen == {"0.png": 1, "2.png": 1}


def test_without_pictures_crops_are_zeros():
    nothing = torch.tensor([-1, -1])
    assert torch.equal(
        FileStore([], read_image, channels=1).crop(nothing, nothing, nothing, 8), torch.zeros(2, 1, 8, 8)
    )


def test_a_damaged_file_is_named_when_it_is_drawn_and_a_broken_header_before(own_copy):
    folder = own_copy / "train/lowlight/low"
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes()[:60])  # the header is whole
    pictures, _ = load_pictures(own_copy, ["lowlight"], loading="files")
    with pytest.raises(UnreadablePicture, match=r"low.\d\.png: damaged or truncated PNG"):
        pictures.draw(pictures.pool(["lowlight"]), 2, 32, seeded())
    (folder / "3.png").write_bytes(b"")
    with pytest.raises(UnreadablePicture, match=r"low.3\.png: is empty"):
        load_pictures(own_copy, ["lowlight"], loading="files")


def test_pairs_of_different_size_are_refused_at_the_start(own_copy):
    Image.new("RGB", (87, 80)).save(own_copy / "train/lowlight/low/2.png")
    with pytest.raises(DataError, match=r"low.2\.png: its size \(80, 87\) is not that of .*normal.2\.png"):
        load_pictures(own_copy, ["lowlight"], loading="files")


def test_a_picture_that_is_replaced_meanwhile_by_one_of_another_size_is_an_error(own_copy):
    pictures, _ = load_pictures(own_copy, ["photos"], loading="files")
    for path in (own_copy / "train/clean/photos").iterdir():
        Image.new("RGB", (90, 80)).save(path)
    with pytest.raises(DataError, match=r"p\d\.png: is now of the size \(80, 90\), and was \(80, 80\)"):
        pictures.draw(pictures.pool(["photos"]), 1, 32, seeded())


def test_loading_files_opens_no_picture(tiny_data, monkeypatch):
    monkeypatch.setattr(catalogue, "read_image", lambda path: pytest.fail(f"{path} was read"))
    monkeypatch.setattr(catalogue, "read_labels", lambda path: pytest.fail(f"{path} was read"))
    training, validation = load_pictures(tiny_data, TINY, loading="files")
    assert training.counts()["rain_real"] == 21 and validation.counts()["bsds"] == 1
