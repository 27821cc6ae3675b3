"""A table of methods and figures, and its three forms: Markdown to read, CSV to compute with, JSON for programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from typing import Any, Final, Literal

from anyir.errors import shown

FORMAT: Final = 1
"""Of the JSON form; to be raised when a reader of the old layout would misunderstand the new one."""

NONE: Final = "–"
"""A figure that is not there. Never 0."""

RANKING: Final = (
    "Best figure of a column **bold**, second best <ins>underlined</ins>, compared as printed; equal figures share a "
    "mark, and the degraded input takes no part."
)

Origin = Literal["published", "measured", "input"]
"""Where a row's figures come from: a paper; a run of ours; the degraded pictures themselves, as a run measured them."""

Mark = Literal["best", "second"]


@dataclass(frozen=True)
class Column:
    """One figure of each method.

    Attributes:
        name: for machines, with the unit: "rain100l_psnr_db".
        title: for people. Neighbours of one title share a column in Markdown, as "PSNR / SSIM".
        decimals: that are printed; None: four significant digits, or whole numbers from a thousand up.
        ranked: whether larger is better and the best are marked.
    """

    name: str
    title: str
    decimals: int | None = None
    ranked: bool = False


@dataclass(frozen=True)
class Row:
    """One method.

    Attributes:
        method: its name.
        origin: where the figures come from.
        source: the paper and table, or the results file; None for results that were not read from a file.
        values: one for each column; None for a figure that is not there.
        intervals: name of a column → where 95 % of the means over resampled pictures lie.
        notes: what a reader must know of this row.
    """

    method: str
    origin: Origin
    source: str | None
    values: tuple[float | None, ...]
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict[str, "tuple[float, float]"])
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """Figures of several methods side by side.

    Attributes:
        name: a word for it, as for a file's name.
        title: what is compared, with units.
        source: of the published rows: paper and table.
        columns: what is compared.
        rows: the methods.
        notes: what a reader must know of all of it.
    """

    name: str
    title: str
    source: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()

    def marks(self) -> dict[tuple[int, int], Mark]:
        """(row, column) → its mark. A column with fewer than two methods has none."""
        found: dict[tuple[int, int], Mark] = {}
        for place, column in enumerate(self.columns):
            printed = {
                number: float(_figure(value, column.decimals))
                for number, row in enumerate(self.rows)
                if column.ranked and row.origin != "input" and (value := row.values[place]) is not None
            }
            if len(printed) < 2:
                continue
            best, *others = sorted(set(printed.values()), reverse=True)
            words: dict[float, Mark] = {best: "best", **({others[0]: "second"} if others else {})}
            found |= {(number, place): words[value] for number, value in printed.items() if value in words}
        return found


def to_markdown(table: Table) -> str:
    """A heading, the table with its columns aligned, and its notes, of which rows bear the numbers."""
    marks = table.marks()
    notes = list(dict.fromkeys(note for row in table.rows for note in row.notes))
    groups = list(_groups(table.columns))
    lines = [["method", *(title for title, _ in groups)]]
    for number, row in enumerate(table.rows):
        cells = (
            _cell(table, row, places, [marks.get((number, at)) for at in places]) for _, places in groups
        )
        lines.append([_method(row, notes), *cells])
        if row.intervals:
            lines.append(["↳ 95 % interval", *(_interval(table, row, places) for _, places in groups)])
    paragraphs = (
        f"## {escaped(table.title)}",
        "\n".join(aligned(lines)),
        *(f"<sup>{number}</sup> {escaped(note)}" for number, note in enumerate(notes, 1)),
        f"Published: {escaped(table.source)}.",
        *([RANKING] if marks else []),
        *(escaped(note) for note in table.notes),
    )
    return "\n\n".join(paragraphs) + "\n"


def to_csv(table: Table) -> str:
    """A line of names, then one a method: its name, where its figures come from, and one figure a column.

    Figures have the digits that they have, not those that are printed; one that is not there is empty.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("method", "origin", *(column.name for column in table.columns)))
    for row in table.rows:
        values = ("" if value is None else round(value, 6) for value in row.values)
        writer.writerow((row.method, row.origin, *values))
    return text.getvalue()


def to_json(table: Table) -> str:
    """Everything in the table, with marks, intervals, notes and sources."""
    marks = table.marks()
    names = [column.name for column in table.columns]

    def plain(number: int, row: Row) -> dict[str, Any]:
        return {
            "method": row.method,
            "origin": row.origin,
            "source": row.source,
            "values": {
                name: None if value is None else round(value, 6)
                for name, value in zip(names, row.values, strict=True)
            },
            "intervals": {
                name: [round(bound, 6) for bound in bounds] for name, bounds in row.intervals.items()
            },
            "marks": {
                name: marks[number, place] for place, name in enumerate(names) if (number, place) in marks
            },
            "notes": list(row.notes),
        }

    content = {
        "anyir_table": FORMAT,
        "name": table.name,
        "title": table.title,
        "source": table.source,
        "columns": [asdict(column) for column in table.columns],
        "rows": [plain(number, row) for number, row in enumerate(table.rows)],
        "notes": list(table.notes),
    }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _groups(columns: Sequence[Column]) -> Iterator[tuple[str, list[int]]]:
    """The columns of Markdown: a title, and the places of the columns that share it."""
    for title, group in groupby(range(len(columns)), key=lambda place: columns[place].title):
        yield escaped(title), list(group)


def _method(row: Row, notes: Sequence[str]) -> str:
    numbers = ", ".join(str(notes.index(note) + 1) for note in row.notes)
    measured = ", measured" if row.origin == "measured" else ""
    return f"{escaped(row.method)}{measured}{f' <sup>{numbers}</sup>' if numbers else ''}"


def _cell(table: Table, row: Row, places: Sequence[int], marks: Sequence[Mark | None]) -> str:
    """The figures of columns that share a title; one dash where there is none of them."""
    values = [row.values[place] for place in places]
    if all(value is None for value in values):
        return NONE
    columns = [table.columns[place] for place in places]
    return " / ".join(
        NONE if value is None else _marked(_figure(value, column.decimals), mark)
        for value, column, mark in zip(values, columns, marks, strict=True)
    )


def _marked(figure: str, mark: Mark | None) -> str:
    before, after = {"best": ("**", "**"), "second": ("<ins>", "</ins>"), None: ("", "")}[mark]
    return f"{before}{figure}{after}"


def _interval(table: Table, row: Row, places: Sequence[int]) -> str:
    return " / ".join(
        " to ".join(_figure(bound, column.decimals) for bound in row.intervals[column.name])
        for column in (table.columns[place] for place in places)
        if column.name in row.intervals
    )


def _figure(value: float, decimals: int | None) -> str:
    if decimals is not None:
        return f"{value:.{decimals}f}"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """Markdown's lines, the head first: the first column to the left, figures to the right, as wide as they must be."""
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    rule = ["-" * width if place == 0 else "-" * (width - 1) + ":" for place, width in enumerate(widths)]
    padded = [
        [
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        for cells in lines
    ]
    return [f"| {' | '.join(cells)} |" for cells in (padded[0], rule, *padded[1:])]


def escaped(text: str) -> str:
    """A name from anywhere: it can neither end a cell or a line nor be taken for HTML."""
    return shown(text).replace("|", "\\|").replace("<", "&lt;")
