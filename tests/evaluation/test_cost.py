import pytest

from anyir.evaluation.cost import complexity_table, cost_tables, machine_line, times_table
from anyir.evaluation.published import COMPLEXITY
from anyir.evaluation.results import EvaluatedModel
from anyir.evaluation.tables import to_markdown

MODEL = EvaluatedModel(993_699, 3_129_778_176, "recipe x", 2_941_759, 71_540_736)
SETTINGS = {
    "processor": "Abacus 3",
    "cores": 8,
    "threads": 2,
    "provider": "CPUExecutionProvider",
    "tile": 256,
}
LINE = "Measured by us: Abacus 3, 2 threads, CPUExecutionProvider, tile 256."


def values(table, method):
    (row,) = (each for each in table.rows if each.method == method)
    return dict(zip((column.name for column in table.columns), row.values, strict=True))


def test_a_model_stands_beside_the_published_ones(make_results):
    table = complexity_table([make_results(model=MODEL, settings=SETTINGS)])
    assert values(table, "mine") == {
        "gpu_memory_mb": None,
        "peak_memory_mb": 71.540736,
        "parameters_millions": 0.993699,
        "macs_224_billions": 3.129778176,
        "file_mb": 2.941759,
    }
    assert values(table, "PromptIR") == {
        "gpu_memory_mb": 9830, "peak_memory_mb": None, "parameters_millions": 35.59, "macs_224_billions": 132,
        "file_mb": None,
    }  # fmt: skip
    assert table.rows[-1].notes == (LINE,)
    assert table.marks() == {}  # nothing is the best of what does not compare


def test_published_costs_are_marked_as_not_comparable():
    for table in cost_tables([]):
        assert {each.origin for each in table.rows} == {"published"}
        assert all("other hardware (an A100 GPU)" in each.notes[0] for each in table.rows)


def test_what_is_not_known_is_a_dash_and_never_nought(make_results, make_set):
    foreign = make_results(make_set("rain100l", 30, seconds=0), model=EvaluatedModel(217, size_bytes=1_540))
    unknown = make_results(name="old")
    table = complexity_table([foreign, unknown])
    assert [*values(table, "mine").values()] == [None, None, 0.000217, None, 0.00154]
    assert {*values(table, "old").values()} == {None}
    assert {*values(times_table([foreign]), "mine").values()} == {None}
    line = next(line for line in to_markdown(table).splitlines() if line.startswith("| mine"))
    assert [cell.strip() for cell in line.split("|")[2:-1]] == ["–", "–", "0.000217", "–", "0.00154"]
    nought = complexity_table([make_results(model=EvaluatedModel(0, 0, None, 0, 0))])
    assert {*values(nought, "mine").values()} == {None}


def test_seconds_are_of_whole_sets_side_by_side(make_results, make_set):
    mine = make_results(make_set("rain100l", 30, seconds=0.25), make_set("haze-partial", 20, seconds=1))
    peer = make_results(make_set("rain100l", 31, seconds=0.5), name="peer", settings=SETTINGS)
    table = times_table([mine, peer])
    assert [column.name for column in table.columns] == [
        "cbsd68-25_seconds", "rain100l_seconds", "sots-outdoor_seconds", "haze-partial_seconds",
    ]  # fmt: skip
    assert [*values(table, "AnyIR").values()] == [30, 43, 274, None]
    assert [*values(table, "mine").values()] == [None, 25, None, 10]
    assert [*values(table, "peer").values()] == [None, 50, None, None]
    assert table.rows[-1].notes == (LINE,)


def test_a_part_of_a_set_has_no_figure_but_a_note(make_results, make_set):
    table = times_table([make_results(make_set("rain100l", 30, pictures=3), settings=SETTINGS)])
    assert {*values(table, "mine").values()} == {None}
    assert table.rows[-1].notes == (
        LINE,
        "Parts of sets, which have no figure: Rain100L, 3 of 100 pictures: 0.8 s.",
    )


def test_the_degraded_input_costs_nothing_and_has_no_row(make_results, make_set):
    identity = make_results(make_set("rain100l", 20, seconds=0), name="identity", sha256=None)
    complexity, times = cost_tables([identity])
    assert len(complexity.rows) == len(COMPLEXITY) and len(times.rows) == 2


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({}, "Measured by us: processor not recorded, threads not recorded."),
        ({"processor": "X", "threads": None, "cores": 1}, "Measured by us: X, 1 thread."),
        ({"processor": "X", "threads": 2, "guard": True}, "Measured by us: X, 2 threads."),
        (
            {"processor": "X", "threads": 2, "guard": False},
            "Measured by us: X, 2 threads, without the guard.",
        ),
        (
            {"processor": "X", "threads": 2, "guard": True, "quality": "best"},
            "Measured by us: X, 2 threads, four mirror images each.",
        ),
    ],
)
def test_a_machine_that_was_not_recorded_is_not_guessed(make_results, settings, line):
    assert machine_line(make_results(settings=settings)) == line
