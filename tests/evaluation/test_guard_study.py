import json
import math
from dataclasses import replace

import numpy as np
import pytest

from anyir.errors import UsageError
from anyir.evaluation.guard_study import (
    CAP,
    Pair,
    Pictures,
    PictureStudy,
    Remembering,
    SetStudy,
    evaluated_pictures,
    markdown,
    study_guard,
    to_json,
)
from anyir.evaluation.run import find_sets
from anyir.evaluation.sets import select_sets
from anyir.inference.guard import Limits
from anyir.picture import write_image

NEVER = Limits(0.9, 1.0)


class SizeMatters:
    """A "network" that darkens by 1/512 for each pixel of the width it sees: an overview half as wide, by half."""

    provider = "test"

    def __init__(self):
        self.batches = []

    def __call__(self, batch):
        self.batches.append(batch)
        return batch - np.float32(batch.shape[3] / 512)


def grey(level, side=128):
    return np.full((side, side, 3), level, np.float32)


def test_a_picture_is_restored_without_the_guard_and_under_each_limit_each_tile_once():
    """128 wide: the tile is darkened by 1/4, the overview by 1/8, which under the usual limits is believed."""
    engine, titles = SizeMatters(), []
    sets = [
        Pictures("x", "Set X", iter([Pair("a", grey(0.75), grey(0.75)), Pair("b", grey(0.5), grey(0.25))]))
    ]
    (study,) = study_guard(sets, engine, [Limits(), NEVER], titles.append)
    assert (study.name, study.title, titles) == ("x", "Set X", ["Set X"])
    a, b = study.pictures
    quarter, eighth = -20 * math.log10(1 / 4), -20 * math.log10(1 / 8)
    assert (a.degraded, b.degraded) == (CAP, pytest.approx(quarter, abs=1e-4))
    assert (a.bare, b.bare) == (pytest.approx(quarter, abs=1e-3), CAP)
    assert a.guarded == (pytest.approx(eighth, abs=1e-3), pytest.approx(quarter, abs=1e-3))
    assert b.guarded == (pytest.approx(eighth, abs=1e-3), CAP)
    assert a.held_back == b.held_back == (1.0, 0.0)
    assert len(engine.batches) == 4


def test_pictures_can_be_restored_in_tiles():
    """In tiles of 64 each is darkened by 1/8, and so is the overview."""
    engine = SizeMatters()
    (study,) = study_guard(
        [Pictures("x", "X", iter([Pair("a", grey(0.75), grey(0.625))]), 64)], engine, [Limits()]
    )
    assert {batch.shape[2:] for batch in engine.batches} >= {(64, 64)}
    assert study.pictures[0].bare == CAP


def test_a_set_is_summed_up():
    pictures = (
        PictureStudy("a", 20, 30, (29.0,), (0.5,)),
        PictureStudy("b", 20, 19, (22.0,), (0.01,)),
        PictureStudy("c", 20, 21, (21.05,), (0.009,)),
    )
    study = SetStudy("x", "X", pictures)
    assert study.bare == pytest.approx(70 / 3)
    assert study.guarded(0) == pytest.approx(72.05 / 3)
    assert study.stepped_in(0) == 2
    assert study.differences(0) == pytest.approx([-1, 3, 0.05])
    assert (study.worst(None), study.worst(0)) == (-1, pytest.approx(1.05))


@pytest.fixture
def studies():
    return [
        SetStudy(
            "x",
            "Set | X",
            (PictureStudy("a", 20, 30, (29, 30), (0.5, 0)), PictureStudy("b", 20, 18, (22, 18), (1, 0))),
        ),
        SetStudy("y", "Y", (PictureStudy("c", 60, 50, (50, 50), (0, 0)),)),
    ]


def row(text, start):
    line = next(line for line in text.splitlines() if line.startswith(f"| {start}"))
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def test_one_pair_of_limits_is_told_in_detail(studies):
    text = markdown(studies, [Limits()], {"command": "python x"})
    assert row(text, "Y") == ["Y", "1", "0", "50.00", "50.00", "0", "0", "−10.00", "−10.00"]
    assert row(text, "Set")[-8:] == ["2", "2", "24.00", "25.50", "1", "1", "−2.00", "+2.00"]
    assert text.endswith("\n- command: python x\n")


def test_several_are_compared_in_brief_and_their_mean_is_over_tasks(studies):
    text = markdown(studies, [Limits(), NEVER], {})
    assert row(text, "task") == ["task", "pictures", "without", "0.04 to 0.1", "0.9 to 1"]
    assert row(text, "Set")[-4:] == ["2", "24.00", "+1.50", "+0.00"]
    assert row(text, "mean") == ["mean", "", "37.00", "+0.750", "+0.000"]


@pytest.mark.parametrize(
    ("limits", "title"),
    [
        (Limits(0.02, 0.06), "0.02 to 0.06"),
        (Limits(unconfirmed=1, confirmed=2), "0.04 to 0.1, never followed"),
        (Limits(unconfirmed=-1, confirmed=0), "0.04 to 0.1, always followed"),
        (Limits(unconfirmed=0.1, confirmed=0.3), "0.04 to 0.1, followed from 0.1 to 0.3"),
    ],
)
def test_limits_are_told_apart_by_what_is_not_as_usual(limits, title, studies):
    both = [replace(each, pictures=tuple(map(twice_limited, each.pictures))) for each in studies]
    assert row(markdown(both, [Limits(), limits], {}), "task")[3:] == ["0.04 to 0.1", title]


def twice_limited(picture):
    return replace(picture, guarded=picture.guarded[:1] * 2, held_back=picture.held_back[:1] * 2)


def test_programs_get_every_picture(studies):
    content = json.loads(to_json(studies, [Limits()], {"weights": "w"}))
    assert content["weights"] == "w"
    assert content["limits"] == [{"doubt": 0.04, "disbelief": 0.1, "unconfirmed": 0.7, "confirmed": 0.8}]
    assert content["sets"][0]["pictures"][1]["held_back"] == [1, 0]


def test_an_engine_that_remembers_gives_copies_and_forgets():
    engine = SizeMatters()
    remembering = Remembering(engine)
    assert remembering.provider == "test"
    batch = grey(0.5)[None]
    remembering(batch)[:] = 7
    assert (remembering(batch) == batch - np.float32(3 / 512)).all()
    assert len(engine.batches) == 1
    remembering(batch.reshape(1, 64, 256, 3))  # the same bytes in another shape
    assert len(engine.batches) == 2
    remembering.forget()
    remembering(batch)
    assert len(engine.batches) == 3


def test_pictures_are_those_of_every_evaluation(tmp_path):
    (tmp_path / "CBSD68").mkdir()
    write_image(np.full((48, 40, 3), 51, np.uint8), tmp_path / "CBSD68" / "a.png")
    found = find_sets(tmp_path, select_sets("all", ["cbsd68-50", "clean"]))
    (noisy, _, noisy_pairs, _), (clean, title, clean_pairs, _) = list(evaluated_pictures(found))
    assert (noisy, clean) == ("cbsd68-50", "clean")
    assert title.startswith("Clean")
    (noisy_pair,), (clean_pair,) = noisy_pairs, clean_pairs
    assert noisy_pair.name == "a"
    assert noisy_pair.degraded.shape == (48, 32, 3)
    assert 0.1 < noisy_pair.degraded.std() < 0.3
    assert np.allclose(clean_pair.degraded, 0.2) and np.allclose(clean_pair.clean, 0.2)


@pytest.mark.parametrize(
    "limits", [(-0.1, 0.1), (0.1, 0.1), (0.2, 0.1), (math.nan, 0.1), (0.1, 0.2, 0.4, 0.4)]
)
def test_impossible_limits_are_refused(limits):
    with pytest.raises(UsageError, match="limits of the guard"):
        Limits(*limits)
