from dataclasses import replace

import pytest

from anyir.evaluation.comparison import comparison_table, comparison_tables, row_names
from anyir.evaluation.published import FIVE, SINGLE, THREE
from anyir.evaluation.results import EvaluatedModel
from anyir.evaluation.tables import NONE, to_markdown


def cells(table, method):
    return dict(zip((column.name for column in table.columns), row(table, method).values, strict=True))


def row(table, method):
    (found,) = (each for each in table.rows if each.method == method)
    return found


@pytest.fixture
def all_three(make_set):
    psnrs = {"sots-outdoor": 30, "rain100l": 36, "cbsd68-15": 40, "cbsd68-25": 31, "cbsd68-50": 28}
    return [make_set(name, psnr, 0.9 + index / 100) for index, (name, psnr) in enumerate(psnrs.items())]


def test_a_model_with_all_sets_has_every_column_and_the_average(make_results, all_three):
    table = comparison_table(THREE, [make_results(*all_three, model=EvaluatedModel(parameters=993_699))])
    mine = cells(table, "mine")
    assert mine["parameters_millions"] == 0.993699
    assert mine["cbsd68-15_psnr_db"] == pytest.approx(40)
    assert mine["average_psnr_db"] == pytest.approx(33)  # not the mean over pictures
    assert mine["average_ssim"] == pytest.approx(0.92)
    marks = {
        (table.rows[at].method, table.columns[place].name): mark
        for (at, place), mark in table.marks().items()
    }
    assert marks["mine", "cbsd68-15_psnr_db"] == marks["mine", "average_psnr_db"] == "best"
    assert marks["PromptIR", "cbsd68-15_psnr_db"] == marks["MoCE-IR", "average_psnr_db"] == "second"
    assert ("AnyIR", "cbsd68-15_psnr_db") not in marks


def test_published_rows_are_as_printed_and_ours_come_last_also_where_worse(make_results, make_set):
    table = comparison_table(FIVE, [make_results(make_set("lolv1", 9))])
    assert [each.method for each in table.rows] == [*(each.method for each in FIVE.rows), "mine"]
    assert [column.name for column in table.columns][:3] == [
        "parameters_millions", "sots-outdoor_psnr_db", "sots-outdoor_ssim",
    ]  # fmt: skip
    anyir = cells(table, "AnyIR")
    assert (anyir["lolv1_psnr_db"], anyir["lolv1_ssim"], anyir["average_psnr_db"]) == (23.50, 0.845, 29.65)
    assert cells(table, "mine")["lolv1_psnr_db"] == pytest.approx(9)
    assert {each.origin for each in table.rows[:-1]} == {"published"} and table.rows[-1].origin == "measured"
    assert row(table, "MoCE-IR").notes == (f"Not in {FIVE.source}: figures from arXiv 2411.18466.",)


def test_without_one_set_there_is_no_average(make_results, all_three):
    mine = cells(comparison_table(THREE, [make_results(*all_three[:-1])]), "mine")
    assert (mine["cbsd68-50_psnr_db"], mine["average_psnr_db"], mine["average_ssim"]) == (None, None, None)
    assert mine["cbsd68-25_psnr_db"] == pytest.approx(31)


@pytest.mark.parametrize(
    "changes",
    [
        {"pictures": 99},
        {"pictures": 99, "official": True},
        {"pictures": 99, "official": True, "expected": 99},
        {"pictures": 101, "official": True},
        {"official": False},
    ],
    ids=["part", "part said official", "part said whole", "too many", "not official"],
)
def test_a_column_is_filled_by_nothing_but_the_whole_published_set(make_results, make_set, changes):
    table = comparison_table(THREE, [make_results(make_set("rain100l", 50, 0.99, **changes))])
    mine = cells(table, "mine")
    assert {value for name, value in mine.items() if name != "parameters_millions"} == {None}
    assert (
        "Rain100L (not the published set as a whole; outside of the column, Rain100L: 50.00 / 0.990"
        in (row(table, "mine").notes[-1])
    )
    assert row(table, "mine").intervals == {}


def test_what_was_measured_instead_is_told_outside_of_the_column(make_results, make_set):
    sets = (
        make_set("sots-outdoor-two", 19.4),
        make_set("haze-partial", 20, pictures=1),
        make_set("rain100l", 30),
    )
    table = comparison_table(FIVE, [make_results(*sets, absent={"sots-outdoor": "SOTS"})])
    assert row(table, "mine").notes == (
        "Measured by us. What it was trained on is not known.",
        "Columns left empty: SOTS-outdoor (not found; outside of the column, SOTS-outdoor (two pictures): 19.40 / "
        "0.900 over 2 pictures, RESIDE haze (sample): 20.00 / 0.900 over 1 of 10 pictures); CBSD68 σ = 25 (not "
        "measured); GoPro (not measured); LOL-v1 eval15 (not measured).",
    )
    assert [value for value in cells(table, "mine").values() if value is not None] == pytest.approx([30, 0.9])


def test_a_row_says_what_it_was_trained_on_and_how_noise_was_made(make_results, all_three):
    made = make_results(
        *all_three, model=EvaluatedModel(trained_on="recipe x, 3 pictures"), conventions={"noise": "seed 0"}
    )
    assert row(comparison_table(THREE, [made]), "mine").notes == (
        "Measured by us. Trained on: recipe x, 3 pictures.",
        "Noise: seed 0. The public code behind the published figures truncates to 8 bits.",
    )
    rain_only = replace(made, sets=made.sets[1:2])
    assert not any("Noise" in note for note in row(comparison_table(THREE, [rain_only]), "mine").notes)


def test_intervals_are_of_our_psnr_and_stand_in_a_line_of_their_own(make_results, make_set):
    rain = make_set("rain100l", 36)
    table = comparison_table(THREE, [make_results(rain)])
    low, high = row(table, "mine").intervals["rain100l_psnr_db"]
    assert (low, high) == rain.psnr_interval and 35.8 < low < 36 < high < 36.2
    line = next(line for line in to_markdown(table).splitlines() if line.startswith("| ↳"))
    assert f"{low:.2f} to {high:.2f}" in line


def test_the_degraded_input_is_the_first_row_and_never_the_best(make_results, make_set):
    identity = make_results(make_set("rain100l", 60, 1.0, seconds=0), name="identity", sha256=None)
    table = comparison_table(SINGLE, [make_results(make_set("rain100l", 30)), identity])
    assert (table.rows[0].method, table.rows[0].origin) == ("degraded input", "input")
    assert cells(table, "degraded input")["rain100l_psnr_db"] == pytest.approx(60)
    assert not any(at == 0 for at, _ in table.marks())
    assert not any("trained" in note for note in table.rows[0].notes)
    assert [each.method for each in table.rows[1:]] == ["PromptIR", "AnyIR", "mine"]


def test_models_of_one_name_are_told_apart(make_results, make_set):
    one, two = (make_results(make_set("rain100l", 30), name="model", sha256=each * 64) for each in "ab")
    other = make_results(make_set("rain100l", 30), name="other")
    table = comparison_table(SINGLE, [one, two, other])
    assert [each.method for each in table.rows[-3:]] == ["model aaaaaaaa", "model bbbbbbbb", "other"]


def test_the_same_weights_without_the_guard_say_so(make_results, make_set):
    both = [
        make_results(make_set("rain100l", 30), name="model", settings={"guard": guard})
        for guard in (True, False)
    ]
    assert row_names(both) == ("model", "model, no guard")
    assert row_names(both[1:]) == ("model",)


def test_the_self_ensemble_of_the_same_weights_has_a_name_of_its_own(make_results, make_set):
    both = [
        make_results(make_set("rain100l", 30), name="model", settings={"guard": True, "quality": quality})
        for quality in ("standard", "best")
    ]
    assert row_names(both) == ("model", "model, self-ensemble")


def test_the_three_tables_of_the_paper_are_made(make_results, make_set):
    tables = comparison_tables([make_results(make_set("rain100l", 30), source="r.json")])
    assert [table.name for table in tables] == ["three", "five", "single"]
    assert [table.source[-7:] for table in tables] == ["Table 1", "Table 2", "Table 3"]
    assert [len(table.columns) for table in tables] == [13, 13, 11]  # Table 3 has no average
    assert {table.rows[-1].source for table in tables} == {"r.json"}
    assert any("DL (SSIM 0.875), AirNet (SSIM 0.909)" in note for note in tables[0].notes)
    assert any("each trained on one degradation" in note for note in tables[2].notes)
    assert not any("not the mean" in note for note in tables[2].notes)


def test_a_table_of_published_rows_alone_can_be_made():
    text = to_markdown(comparison_table(THREE, []))
    assert "| AnyIR " in text and NONE in text and "measured" not in text.split("\n\n")[1]
