import pytest

from anyir.inference.training_words import data_words, run_words, trained_on

LAST = {
    "recipe": "fine",
    "network": "anyir-s",
    "samples": 5562,
    "steps": 1356,
    "minutes": 33.4,
    "device": "a CPU",
}
DATA = {"pictures": 5144, "sets": {"wed": 4744, "bsd": 400}}


def test_a_run_in_words():
    words = ["recipe fine", "network anyir-s", "5,562 samples", "1,356 steps", "33 minutes", "on a CPU"]
    assert run_words(LAST) == words
    for teacher, said in (
        (
            {"name": "anyir", "file": "model.safetensors", "recipe": "anyir-grown"},
            "anyir of recipe anyir-grown",
        ),
        ({"name": "anyir", "file": "anyir.safetensors"}, "anyir"),
        ({"file": "mine.safetensors", "name": None, "recipe": None}, "mine.safetensors"),
    ):
        assert run_words({**LAST, "teacher": teacher}) == [*words[:-1], f"taught by {said}", words[-1]]
    assert (
        run_words({"steps": 3, "teacher": "nobody"}) == run_words({"steps": 3, "teacher": {}}) == ["3 steps"]
    )
    assert run_words({"samples": "many", "minutes": None, "steps": 2}) == ["2 steps"]


def test_its_data_in_words():
    assert data_words(DATA) == ["5,144 pictures", "wed 4744", "bsd 400"]
    assert data_words({"pictures": "all", "sets": 4}) == []


def test_the_samples_of_all_runs_are_counted():
    assert trained_on({**LAST, "data": DATA}) == "recipe fine, 5,562 samples, 5,144 pictures"
    earlier = {"recipe": "first", "samples": 30_000, "data": {"pictures": 3}, "started_from": {"samples": 1}}
    expected = "recipe fine, 35,563 samples in 3 runs, 5,144 pictures"
    assert trained_on({**LAST, "data": DATA, "started_from": earlier}) == expected


def test_a_sum_with_a_part_unknown_is_not_told():
    assert (
        trained_on({**LAST, "data": DATA, "started_from": {"recipe": "first"}})
        == "recipe fine, 5,144 pictures"
    )


@pytest.mark.parametrize("training", [{}, {"device": "a CPU"}, {"samples": "many", "data": 3}])
def test_nothing_known_is_none(training):
    assert trained_on(training) is None
