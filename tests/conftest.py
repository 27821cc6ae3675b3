"""Fixtures for all rooms."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

# Before anything below reads it. The networks of the tests are too small to share among threads, and the cores are
# for the test processes that scripts/test starts side by side. Processes that tests start inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from PIL import Image

if TYPE_CHECKING:
    from anyir.data.mixture import Task

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of training and test pictures: $ANYIR_DATA, else ``shared/data`` beside the repository."""
    folder = Path(os.environ.get("ANYIR_DATA") or REPOSITORY.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no pictures: {folder} is not a folder; set ANYIR_DATA")
    return folder


def _photograph(random: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Something with edges and smooth parts: a network can learn on it, and a crop of it is recognisable."""
    y, x = np.mgrid[0:height, 0:width]
    image = np.stack(
        [128 + 90 * np.sin(x / random.uniform(5, 20) + y / random.uniform(5, 20) + c) for c in range(3)], -1
    )
    top, left = random.integers(0, height // 2), random.integers(0, width // 2)
    image[top : top + height // 3, left : left + width // 3] = random.uniform(0, 255, 3)
    return image.clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def bsds_tasks() -> dict[str, Task]:
    """The tasks, those on clean pictures on BSDS's alone, as ``tiny_data`` has no other whole set of them."""
    from anyir.data.mixture import TASKS  # PyTorch comes with it

    return {n: replace(t, sources=("bsds",)) if "bsds" in t.sources else t for n, t in TASKS.items()}


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the layout of the real training pictures and a few made-up ones in each set."""
    root = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(7)

    def save(folder: str, name: str, pixels: np.ndarray) -> None:
        (root / "train" / folder).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(root / "train" / folder / name)

    for number in range(8):
        size = (72 + 8 * number, 96)
        save("clean/bsds", f"{number}.png", _photograph(random, *size))
        save(
            "clean/bsds_segments",
            f"{number}.png",
            np.repeat(np.arange(size[0]) // 24, 96).reshape(size).astype(np.uint8),
        )
        save("clean/photos", f"p{number}.png", _photograph(random, 80, 80))
        save("street/rgb", f"{number}.png", _photograph(random, 80, 96))
        save(
            "street/labels",
            f"{number}.png",
            np.repeat([0] * 30 + [1] * 20 + [3] * 30, 96).reshape(80, 96).astype(np.uint8),
        )
        for clean, degraded in (
            ("lowlight/normal", "lowlight/low"),
            ("blur/sharp", "blur/blurred"),
            ("noise_real/clean", "noise_real/noisy"),
        ):
            pixels = _photograph(random, 80, 88)
            save(clean, f"{number}.png", pixels)
            save(degraded, f"{number}.png", pixels // 8)
        scene = _photograph(random, 80, 88)
        save("rain_real/clean", f"s{number}.png", scene)
        for shot in range(3):
            save("rain_real/rainy", f"s{number}_rain-{shot}.png", scene // 2 + 20 * shot)
    return root
