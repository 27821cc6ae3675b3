import csv
import io
import json
from dataclasses import replace

import pytest

from anyir.evaluation.tables import RANKING, Column, Row, Table, to_csv, to_json, to_markdown

TABLE = Table(
    name="two",
    title="Two sets: PSNR / SSIM",
    source="a paper, Table 1",
    columns=(
        Column("parameters_millions", "parameters, M"),
        Column("rain_psnr_db", "rain", 2, ranked=True),
        Column("rain_ssim", "rain", 3, ranked=True),
    ),
    rows=(
        Row("degraded input", "input", None, (None, 40.0, 0.99)),
        Row("Old", "published", "a paper, Table 1", (35.59, 30.5, 0.9)),
        Row("New", "published", "a paper", (36.0, 31.0, None), notes=("Elsewhere.",)),
        Row(
            "mine",
            "measured",
            "results.json",
            (0.993699, 30.987654321, 0.8996),
            {"rain_psnr_db": (30.1234567, 31.5)},
            ("Trained on rain.", "Elsewhere."),
        ),
        Row("worse", "measured", None, (1234.5, None, None)),
    ),
    notes=("Said of all.",),
)


def test_markdown_is_aligned_marked_and_has_its_notes():
    assert (
        to_markdown(TABLE)
        == f"""\
## Two sets: PSNR / SSIM

| method                         | parameters, M |                         rain |
| ------------------------------ | ------------: | ---------------------------: |
| degraded input                 |             – |                40.00 / 0.990 |
| Old                            |         35.59 |            30.50 / **0.900** |
| New <sup>1</sup>               |            36 |                **31.00** / – |
| mine, measured <sup>2, 1</sup> |        0.9937 | <ins>30.99</ins> / **0.900** |
| ↳ 95 % interval                |               |               30.12 to 31.50 |
| worse, measured                |          1234 |                            – |

<sup>1</sup> Elsewhere.

<sup>2</sup> Trained on rain.

Published: a paper, Table 1.

{RANKING}

Said of all.
"""
    )


def test_csv_comes_back_through_the_csv_module():
    text = to_csv(TABLE)
    assert text.splitlines()[0] == "method,origin,parameters_millions,rain_psnr_db,rain_ssim"
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["method"] for row in rows] == [row.method for row in TABLE.rows]
    for found, row in zip(rows, TABLE.rows, strict=True):
        assert found["origin"] == row.origin
        values = [None if found[each.name] == "" else float(found[each.name]) for each in TABLE.columns]
        assert values == [None if value is None else pytest.approx(value, abs=1e-6) for value in row.values]


def test_csv_holds_names_with_commas_quotes_and_any_letters():
    name = 'a,"b"\nσ'
    text = to_csv(replace(TABLE, rows=(replace(TABLE.rows[1], method=name),)))
    assert next(csv.DictReader(io.StringIO(text, newline="")))["method"] == name


def test_json_holds_values_marks_intervals_notes_and_sources():
    content = json.loads(to_json(TABLE))
    assert (content["anyir_table"], content["name"], content["notes"]) == (1, "two", ["Said of all."])
    assert content["columns"][1] == {
        "name": "rain_psnr_db", "title": "rain", "decimals": 2, "ranked": True,
    }  # fmt: skip
    assert content["rows"][3] == {
        "method": "mine",
        "origin": "measured",
        "source": "results.json",
        "values": {"parameters_millions": 0.993699, "rain_psnr_db": 30.987654, "rain_ssim": 0.8996},
        "intervals": {"rain_psnr_db": [30.123457, 31.5]},
        "marks": {"rain_psnr_db": "second", "rain_ssim": "best"},
        "notes": ["Trained on rain.", "Elsewhere."],
    }
    assert content["rows"][0]["marks"] == {}
    assert content["rows"][2]["values"]["rain_ssim"] is None


def ranked(*values, decimals=2):
    rows = tuple(Row(f"{number}", "published", None, (value,)) for number, value in enumerate(values))
    table = Table("x", "x", "x", (Column("x", "x", decimals, ranked=True),), rows)
    return [table.marks().get((number, 0)) for number in range(len(values))]


def test_equal_figures_share_a_mark_and_equal_is_what_is_printed_so():
    assert ranked(3, 3.001, 2, 1) == ["best", "best", "second", None]
    assert ranked(3, 2, 1.999, 1) == ["best", "second", "second", None]
    assert ranked(3, 3) == ["best", "best"]
    assert ranked(3, 3.001, decimals=3) == ["second", "best"]


def test_nothing_is_the_best_of_one():
    assert ranked(3, None) == [None, None]
    assert ranked(None, None) == [None, None]


def test_unranked_columns_are_not_marked_and_then_marks_are_not_explained():
    rows = (Row("a", "published", None, (4829.0,)), Row("b", "measured", None, (0.0001234567,)))
    text = to_markdown(Table("x", "Memory", "x", (Column("x", "MB"),), rows))
    assert "| a           |      4829 |" in text and "0.0001235" in text
    assert "**" not in text and RANKING not in text


def test_a_name_cannot_break_the_table():
    rows = (Row("a|b\n<i>", "measured", None, (1.0,), notes=("x|y",)),)
    text = to_markdown(Table("x", "x", "x", (Column("x", "x"),), rows))
    assert "a\\|b\\n&lt;i>, measured <sup>1</sup> |" in text
    assert len({line.count("|") - line.count("\\|") for line in text.splitlines() if line[:1] == "|"}) == 1
