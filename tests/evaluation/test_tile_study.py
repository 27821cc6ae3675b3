from __future__ import annotations

import json

import numpy as np
import pytest

from anyir import Restorer
from anyir.errors import UsageError
from anyir.evaluation.run import find_sets
from anyir.evaluation.sets import select_sets
from anyir.evaluation.tile_study import Tiling, markdown, overhead, study_tiles, to_json
from anyir.picture import write_image

SMALL, LARGE = Tiling(64, 16), Tiling(128, 16)


class SizeMatters:
    """A "network" that spoils small tiles: it adds 8 over their longer side."""

    provider = "test"

    def __init__(self):
        self.sizes = []

    def __call__(self, batch):
        self.sizes.append(batch.shape[2:])
        return batch + np.float32(8 / max(batch.shape[2:]))


@pytest.fixture
def found(tmp_path):
    (tmp_path / "CBSD68").mkdir()
    write_image(np.full((96, 160, 3), 100, np.uint8), tmp_path / "CBSD68" / "large.png")
    write_image(np.full((96, 96, 3), 100, np.uint8), tmp_path / "CBSD68" / "small.png")
    return find_sets(tmp_path, select_sets("all", ["clean"]))


def test_losses_are_over_the_pictures_that_are_cut(found):
    engine = SizeMatters()

    def restorer(tiling):
        return Restorer(tile=tiling.tile, overlap=tiling.overlap, guard=False, engine=engine)

    (study,) = study_tiles(found, restorer, [SMALL, LARGE, Tiling(256, 16)])
    whole = {"large": 20 * np.log10(160 / 8), "small": 20 * np.log10(96 / 8)}
    assert study.whole_psnr == pytest.approx(np.mean(list(whole.values())), abs=0.01)
    assert study.cut == {SMALL: 2, LARGE: 1, Tiling(256, 16): 0}
    # The large one becomes two tiles of 88 by 96 pixels: the longer side decides.
    assert study.loss[LARGE] == pytest.approx(whole["large"] - 20 * np.log10(96 / 8), abs=0.01)
    assert study.loss[Tiling(256, 16)] is None
    assert (
        len([size for size in engine.sizes if min(size) >= 88]) == 4
    )  # whole twice, and two tiles: nothing twice

    text = markdown([study], [SMALL, LARGE, Tiling(256, 16)], {"command": "python tools/tile_study.py"})
    row = next(line for line in text.splitlines() if line.startswith("| Clean"))
    assert row.split("|")[5].strip() == "−4.44 (1)" and row.split("|")[6].strip() == "–"
    content = json.loads(to_json([study], {"command": "x"}))["sets"][0]["tilings"]
    assert content[1]["tile"] == 128 and content[1]["cut"] == 1 and content[2]["loss_db"] is None


def test_only_the_first_pictures_where_asked(found):
    (study,) = study_tiles(found, lambda _: lambda image: image, [LARGE], pictures=1)
    assert study.pictures == 1 and study.cut[LARGE] == 1


def test_overhead_is_what_the_network_sees_more_than_there_is():
    assert overhead(Tiling(1 << 20, 0), 96, 160) == 1
    assert overhead(Tiling(128, 64), 128, 192) == pytest.approx(2 * 128 * 128 / (128 * 192))


def test_a_restorer_takes_an_overlap_and_refuses_an_impossible_one():
    engine = SizeMatters()
    Restorer(tile=64, overlap=32, guard=False, engine=engine)(np.zeros((64, 96, 3), np.uint8))
    assert engine.sizes == [(64, 64), (64, 64)]
    for overlap in (40, 12, -8):
        with pytest.raises(UsageError, match=f"overlap = {overlap}"):
            Restorer(tile=64, overlap=overlap, engine=engine)
