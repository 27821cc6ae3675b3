import dataclasses
from statistics import fmean

import pytest

from anyir.evaluation.published import COMPLEXITY, DEVIATIONS, FIVE, SINGLE, TABLES, THREE, TIMES, Mean
from anyir.evaluation.sets import SETS

DECIMALS = {"psnr": 2, "ssim": 3}


def row(table, method):
    (found,) = (each for each in table.rows if each.method == method)
    return found


def figure(table, method, name):
    return row(table, method).means[table.sets.index(name)]


@pytest.mark.parametrize(
    ("table", "method", "name", "mean"),
    [
        (THREE, "BRDNet", "cbsd68-50", Mean(26.34, 0.693)),
        (THREE, "LPNet", "sots-outdoor", Mean(20.84, 0.828)),
        (THREE, "PromptIR", "rain100l", Mean(36.37, 0.972)),
        (THREE, "AnyIR", "sots-outdoor", Mean(31.38, 0.979)),
        (THREE, "AnyIR", "cbsd68-15", Mean(33.95, 0.933)),
        (FIVE, "NAFNet", "cbsd68-25", Mean(31.02, 0.883)),
        (FIVE, "Restormer", "gopro", Mean(27.22, 0.829)),
        (FIVE, "IDR", "gopro", Mean(27.87, 0.846)),
        (FIVE, "TAPE", "lolv1", Mean(18.97, 0.621)),
        (FIVE, "AnyIR", "lolv1", Mean(23.50, 0.845)),
        (SINGLE, "PromptIR", "cbsd68-50", Mean(28.49, 0.813)),
        (SINGLE, "AnyIR", "rain100l", Mean(37.79, 0.982)),
        (FIVE, "MoCE-IR", "lolv1", None),
    ],
)
def test_figures_are_those_of_the_paper(table, method, name, mean):
    assert figure(table, method, name) == mean


@pytest.mark.parametrize(
    ("table", "method", "parameters_millions", "average"),
    [
        (THREE, "BRDNet", None, Mean(27.80, 0.843)),
        (THREE, "AnyIR", 6, Mean(32.51, 0.916)),
        (THREE, "MoCE-IR", 25, Mean(32.73)),
        (THREE, "AdaIR", None, Mean(32.69)),
        (FIVE, "TransWeather", 38, Mean(25.22, 0.836)),
        (FIVE, "AnyIR", 6, Mean(29.65, 0.901)),
        (FIVE, "MoCE-IR", 25, Mean(30.58)),
        (FIVE, "AdaIR", None, Mean(30.20)),
        (SINGLE, "AnyIR", None, None),
    ],
)
def test_parameters_and_averages_are_those_of_the_paper(table, method, parameters_millions, average):
    found = row(table, method)
    assert (found.parameters_millions, found.average) == (parameters_millions, average)


def test_printed_averages_are_the_means_of_their_columns_but_for_those_that_are_listed():
    """A figure typed wrong by more than four units of its last digit shows here."""
    different = {}
    for table in TABLES:
        for each in table.rows:
            if each.average is None or None in each.means:
                continue
            for measure, decimals in DECIMALS.items():
                mean = round(fmean(getattr(found, measure) for found in each.means), decimals)
                if mean != getattr(each.average, measure):
                    different[table.name, each.method, measure] = mean
    assert different == dict(DEVIATIONS)


def test_listed_deviations_are_of_the_last_digit():
    """Rounding of the columns explains no more."""
    for (table, method, measure), mean in DEVIATIONS.items():
        printed = getattr(row({"three": THREE, "five": FIVE}[table], method).average, measure)
        assert abs(printed - mean) == pytest.approx(10 ** -DECIMALS[measure])


def test_every_column_is_a_test_set_and_every_row_has_all_columns():
    for table in TABLES:
        assert [name for name in table.sets if name not in SETS or not SETS[name].official] == []
        assert {len(each.means) for each in table.rows} == {len(table.sets)} == {5}
    assert (len(THREE.rows), len(FIVE.rows), len(SINGLE.rows)) == (10, 12, 2)


def test_sources_name_paper_and_table():
    assert row(THREE, "AirNet").source == "arXiv 2407.13372, Table 1"
    assert row(FIVE, "AirNet").source == "arXiv 2407.13372, Table 2"
    assert row(SINGLE, "PromptIR").source == SINGLE.source == "arXiv 2407.13372, Table 3"
    assert row(FIVE, "MoCE-IR").source == "arXiv 2411.18466"
    assert row(FIVE, "AdaIR").source == "arXiv 2403.14614"


def test_costs_are_those_of_the_paper():
    costs = {each.method: dataclasses.astuple(each)[1:] for each in COMPLEXITY}
    assert costs == {
        "AirNet": (4829, 8.93, 238),
        "PromptIR": (9830, 35.59, 132),
        "IDR": (4905, 15.34, 98),
        "AnyIR": (3556, 6.29, 19),
    }
    seconds = {each.method: tuple(each.seconds.items()) for each in TIMES}
    assert seconds == {
        "PromptIR": (("cbsd68-25", 41), ("rain100l", 60), ("sots-outdoor", 416)),
        "AnyIR": (("cbsd68-25", 30), ("rain100l", 43), ("sots-outdoor", 274)),
    }


def test_nothing_of_it_can_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        THREE.rows[0].means[0].psnr = 40
    with pytest.raises(TypeError):
        TIMES[0].seconds["rain100l"] = 1
