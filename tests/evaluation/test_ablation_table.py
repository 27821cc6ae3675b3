import csv
import io
import json
from dataclasses import replace

import pytest

from anyir.errors import DataError
from anyir.evaluation.ablation_report import markdown, table_lines, to_csv, to_json
from anyir.evaluation.ablation_table import (
    Difference,
    Estimate,
    ablation_table,
    order_sentence,
    student_interval,
)
from anyir.training.ablation import RunResult, Study
from anyir.training.recipe import load_recipe
from anyir.training.validation import Score

LEVELS = {"a": 25.0, "b": 26.0, "c": 26.5, "d": 27.5, "e": 28.0}


def study(seeds=3):
    recipe = load_recipe("anyir-s-cpu", ["mixture={noise50=1, derain=1, clean=1}", "steps=10"])
    return Study("mine", recipe, 10, tuple(range(seeds)), ("noise50", "derain", "clean"), {"bsds": 7}, {})


def results(noise, seeds=3):
    """Each row at its level, 2 dB more on rain, 50 on clean pictures, and ``noise(row, seed)`` on all."""
    return [
        RunResult(
            row,
            seed,
            80,
            20.0 + seed,
            {
                "noise50": Score(15.0, level + noise(row, seed)),
                "derain": Score(22.0, level + 2 + noise(row, seed)),
                "clean": Score(60.0, 50.0),
            },
            "2 threads of a CPU (x86_64)",
        )
        for seed in range(seeds)
        for row, level in LEVELS.items()
    ]


def test_the_interval_is_student_s():
    """1, 2, 6: mean 3, s = √7, t(0.975, 2) = 4.302653 by the tables."""
    low, high = student_interval([1.0, 2.0, 6.0])
    half = 4.302653 * (7 / 3) ** 0.5
    assert (low, high) == pytest.approx((3 - half, 3 + half), rel=1e-6)
    low, high = student_interval([1.0, 3.0])
    assert (high - low) / 2 == pytest.approx(12.706205, rel=1e-6)
    assert student_interval([1.0]) is None


def test_means_are_over_seeds_and_the_average_over_degradations():
    table = ablation_table(study(), results(lambda row, seed: 0.3 * (seed - 1)))
    a = table.variants[0]
    assert a.average.values == pytest.approx((25.7, 26.0, 26.3))
    assert a.psnr["noise50"].mean == pytest.approx(25.0) and a.psnr["clean"].mean == 50
    assert a.seconds_per_step == pytest.approx(2.1)
    assert table.degraded == {"noise50": 15.0, "derain": 22.0, "clean": 60.0}
    assert [v.network for v in table.variants] == [f"ablation-{row}-s" for row in "abcd"] + ["anyir-s"]
    assert table.variants[0].parameters == table.variants[1].parameters < table.variants[2].parameters
    assert (table.variants[4].parameters, table.variants[2].macs) == (993_699, table.variants[3].macs)


def test_differences_are_paired_by_seed():
    """Seeds differ by decibels, the same for all rows: the differences do not differ at all."""
    table = ablation_table(study(), results(lambda row, seed: 5.0 * seed))
    assert [(d.later, d.earlier) for d in table.differences] == [
        ("b", "a"),
        ("c", "b"),
        ("d", "c"),
        ("e", "d"),
    ]
    assert [d.gain.mean for d in table.differences] == pytest.approx([1.0, 0.5, 1.0, 0.5])
    assert table.differences[0].gain.interval == pytest.approx((1.0, 1.0))
    low, high = table.variants[0].average.interval
    assert high - low > 20


@pytest.mark.parametrize(
    ("gains", "sentence"),
    [
        (
            [(1.0, 1.1, 0.9)] * 4,
            "The order a < b < c < d < e shows in full (by 95 % intervals over 3 seeds, each step taken by itself).",
        ),
        (
            [(1.0, -1.0, 0.1)] * 4,
            "The order a < b < c < d < e neither shows nor is contradicted: every step is within the noise "
            "(by 95 % intervals over 3 seeds, each step taken by itself).",
        ),
        (
            [(1.0, 1.1, 0.9), (0.5, -0.2, 0.1), (-1.0, -1.1, -0.9), (0.2, 0.21, 0.22)],
            "The order a < b < c < d < e shows in part: a < b and d < e; against it, c > d; within the noise, c − b "
            "(by 95 % intervals over 3 seeds, each step taken by itself).",
        ),
        (
            [(-1.0, -1.1, -0.9), *[(0.5, -0.2, 0.1)] * 3],
            "The order a < b < c < d < e does not show: against it, a > b; within the noise, c − b and d − c and e − d "
            "(by 95 % intervals over 3 seeds, each step taken by itself).",
        ),
        (
            # All positive, yet three values as different as these say nothing: 0.4 ± 0.83.
            [(1.0, 1.1, 0.9)] * 3 + [(0.1, 0.35, 0.75)],
            "The order a < b < c < d < e shows in part: a < b and b < c and c < d; within the noise, e − d "
            "(by 95 % intervals over 3 seeds, each step taken by itself).",
        ),
        ([(1.0,)] * 4, "The order a < b < c < d < e cannot be judged: one seed has no interval."),
    ],
)
def test_the_sentence_says_no_more_than_the_intervals(gains, sentence):
    rows = zip("bcde", "abcd", gains, strict=True)
    assert (
        order_sentence([Difference(later, earlier, Estimate(gain)) for later, earlier, gain in rows])
        == sentence
    )


def test_only_seeds_with_all_five_networks_count():
    found = [each for each in results(lambda row, seed: 0.01 * seed) if (each.row, each.seed) != ("d", 2)]
    table = ablation_table(study(), found)
    assert table.seeds == (0, 1) and len(table.variants[0].average.values) == 2
    assert "seeds: 0, 1 (2 of 3 planned)" in markdown(study(), table, found, "anyir ablation")
    with pytest.raises(DataError, match="no seed has all five"):
        ablation_table(study(), found[:4])


def test_seconds_from_several_devices_are_said_to_compare_nothing():
    found = results(lambda row, seed: 0.0)
    table = ablation_table(study(), found)
    assert "- device: 2 threads of a CPU (x86_64)\n" in markdown(study(), table, found, "x")
    found[3] = replace(found[3], device="a GPU")
    text = markdown(study(), table, found, "x")
    assert "- device: 2 threads of a CPU (x86_64); a GPU: not the same for all runs, so that seconds" in text


def test_the_three_files_hold_the_same_numbers():
    found = results(lambda row, seed: 0.03 * (seed - 1))
    table = ablation_table(study(), found)
    content = json.loads(to_json(study(), table, found, "anyir ablation --data x"))
    assert content["command"] == "anyir ablation --data x" and content["verdict"] == table.verdict
    assert content["study"]["recipe"]["network"] == "anyir-s" and content["study"]["steps"] == 10
    e = content["variants"]["e"]
    assert e["switches"] == {"skip_split": True, "cross_update": True, "gated_adaptation": True}
    half = 4.302653 * 0.03 / 3**0.5
    assert e["average"]["mean"] == 29.0
    assert e["average"]["interval"] == pytest.approx([29 - half, 29 + half], abs=1e-5)
    assert content["differences"][0]["values"] == pytest.approx([1.0, 1.0, 1.0])
    assert len(content["runs"]) == 15 and content["runs"][0]["samples"] == 80

    rows = list(csv.DictReader(io.StringIO(to_csv(table))))
    assert [row["variant"] for row in rows] == list("abcde")
    assert (rows[1]["skip_split"], rows[1]["cross_update"], rows[1]["gated_adaptation"]) == ("1", "0", "0")
    assert float(rows[4]["average_low"]) == pytest.approx(29 - half, abs=1e-4)
    assert (rows[0]["noise50"], rows[0]["derain"], rows[0]["seeds"]) == ("25.0000", "27.0000", "3")

    text = markdown(study(), table, found, "anyir ablation --data x")
    assert table.verdict in text and "Student's t" in text and "every run: 10 steps, 80 samples" in text
    lines = [line.replace(" ", "") for line in text.splitlines()]
    assert any(line.startswith("|b|✓|–|–|") and line.endswith("|27.00±0.07|") for line in lines)
    assert "|b−a|+1.000|+1.000to+1.000|+1.000,+1.000,+1.000|" in lines
    assert "The average is without clean pictures." in text
    fitted = replace(study(), max_minutes=30.0)
    assert "as many as fit into 30 minutes for all runs" in markdown(fitted, table, found, "x")


def test_one_seed_has_numbers_and_no_intervals():
    found = results(lambda row, seed: 0.0, seeds=1)
    table = ablation_table(study(1), found)
    assert next(csv.DictReader(io.StringIO(to_csv(table))))["average_low"] == ""
    assert json.loads(to_json(study(1), table, found, "x"))["differences"][0]["interval"] is None
    assert not any("±" in line for line in table_lines(table) if line.startswith("|"))
