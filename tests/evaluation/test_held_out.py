"""Weights side by side on patches held out of training."""

import json

import pytest

from anyir.evaluation.held_out import Candidate, HeldOut, markdown, to_json

DEGRADED = {"noise25": [20.0, 20.0], "haze": [10.0, 14.0], "rain_real": [25.0, 25.0], "clean": [60.0, 60.0]}


@pytest.fixture
def study():
    old = {"noise25": [29.0, 31.0], "haze": [9.0, 12.5], "rain_real": [20.0, 20.0], "clean": [50.0, 50.0]}
    new = {"noise25": [30.0, 32.0], "haze": [8.9, 15.0], "rain_real": [30.0, 30.0], "clean": [40.0, 40.0]}
    return HeldOut(DEGRADED, (Candidate("old", old), Candidate("new", new)))


def test_each_task_has_the_same_weight_and_some_are_not_counted(study):
    old, new = study.candidates
    assert study.counted == ["noise25", "haze"]
    assert study.mean_gain(old) == pytest.approx((10 - 1.25) / 2)
    assert study.mean_gain(new) == pytest.approx((11 - 0.05) / 2)


def test_harmed_is_worse_by_more_than_a_decibel(study):
    assert [study.harmed(each) for each in study.candidates] == [1, 1]  # exactly one decibel is not more


def test_the_table_says_which_tasks_do_not_count(study):
    lines = markdown(study).splitlines()
    cells = {
        line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]] for line in lines[:8]
    }
    assert cells["task"] == ["input", "old", "new"]
    assert cells["noise25"] == ["20.00", "30.00", "31.00"]
    assert cells["rain real *"] == ["25.00", "20.00", "30.00"]
    assert cells["clean *"] == ["60.00", "50.00", "40.00"]
    assert cells["mean gain"] == ["", "4.375", "5.475"]
    assert cells["harmed"] == ["", "1", "1"]
    assert "of 4 patches" in lines[-1]


def test_every_patch_goes_into_the_json(study):
    content = json.loads(json.dumps(to_json(study, {"command": "a"})))
    assert content["command"] == "a" and content["degraded"] == DEGRADED
    old, _ = content["candidates"]
    assert old["restored"]["haze"] == [9.0, 12.5] and old["harmed"] == 1
    assert old["mean_gain_db"] == pytest.approx(4.375)
