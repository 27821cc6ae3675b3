"""``anyir data``: what is in a data folder, and what a recipe makes of it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anyir.apps.console import counting, say, table, write_text
from anyir.apps.extras import require_extra
from anyir.apps.options import check_report
from anyir.errors import OutputError, shown
from anyir.files import check_folder, make_folder, write_atomically

if TYPE_CHECKING:
    from anyir.data.audit import Audit, SetReport
    from anyir.data.layouts import DataSet
    from anyir.training.stats import RecipeStats

data = typer.Typer(
    name="data",
    help="Check data sets, and show what a recipe makes of them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
SHOWN = 12
"""Lines of one kind of finding that are printed; the JSON file has all."""


@data.command()
def check(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of the data sets.")],
    only: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME", help="Just this set (repeatable).")
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE.json", help="Write everything that was found to this file, replacing it."),
    ] = None,
) -> int:
    """Find the data sets in DIR, open every picture, and look for test pictures among the training pictures."""
    require_extra("train", ("torch",), "data check")
    check_report(report)
    from anyir.data.audit import audit, to_json

    with counting("opening pictures") as on_file:
        result = audit(folder, only or (), on_file)
    if report is not None:
        write_text(report, json.dumps(to_json(result), indent=1, ensure_ascii=False) + "\n")
    _print(result)
    return 0 if result.sound else 1


@data.command()
def sets() -> None:
    """List the data sets that anyir knows, with their terms and where they are looked for."""
    require_extra("train", ("torch",), "data sets")
    from anyir.data.layouts import looked_for
    from anyir.data.sets import SETS

    rows = [
        (
            name,
            each.title,
            each.use,
            "" if each.expected is None else f"{each.expected}",
            each.terms,
            looked_for(each),
        )
        for name, each in SETS.items()
    ]
    table(("name", "set", "use", "examples", "terms", "looked for in"), rows)


@data.command()
def stats(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of the data sets.")],
    recipe: Annotated[
        str, typer.Option(metavar="RECIPE", help="A recipe's name, or a .toml file.")
    ] = "five-degradations",
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change the recipe: repeats.deblur=10."),
    ] = None,
    figure: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FIGURE", help="Draw it: .png, .svg or .pdf.")
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE.json", help="Write the numbers to this file, replacing it."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FIGURE if it exists.")] = False,
) -> None:
    """Count the training samples of each task in DIR, before and after the recipe's weights."""
    require_extra("train", ("torch", *(("matplotlib",) if figure is not None else ())), "data stats")
    from anyir.training.recipe import load_recipe
    from anyir.training.stats import recipe_stats, to_json

    check_report(report)
    settings = load_recipe(recipe, changes or ())
    if figure is not None:
        from anyir.evaluation.figure_style import check_format

        check_format(figure.suffix)
        check_folder(figure.parent)
        if figure.exists() and not overwrite:
            raise OutputError(
                f"{shown(figure)}: exists already; choose another name, or replace it with --overwrite"
            )
    result = recipe_stats(settings, folder, Path(recipe).stem)
    if report is not None:
        write_text(report, json.dumps(to_json(result), indent=1) + "\n")
    if figure is not None:
        from anyir.evaluation.stats_figure import stats_figure

        make_folder(figure.parent)
        write_atomically(figure, stats_figure(result, figure.suffix), overwrite=overwrite)
    print_stats(result)


def print_stats(stats: RecipeStats) -> None:
    """Sets and samples, task by task; what is absent, in a line of its own."""
    rows = [
        (
            task.task,
            ", ".join(f"{name} {count or 'absent'}" for name, count in task.sets.items()),
            f"×{task.weight:g}" if stats.by_epoch else f"{task.weight:g}",
            f"{task.before}",
            f"{task.after:.0f}",
            f"{task.share:.1%}",
        )
        for task in stats.tasks
    ]
    rows.append(("all", "", "", f"{stats.before}", f"{stats.after:.0f}", ""))
    kind = "repeats" if stats.by_epoch else "weight"
    table(("task", "sets and examples", kind, "before", "after", "share"), rows, right=(2, 3, 4, 5))
    print(
        "before: a sample for each example; after: "
        + ("an epoch's samples" if stats.by_epoch else "of as many samples, by the mixture's shares")
    )
    if stats.absent:
        print(f"absent: {', '.join(stats.absent)}; training needs every set, see 'anyir data sets'")


def _print(result: Audit) -> None:
    rows = [_row(each, result.data) for each in result.sets]
    table(("set", "use", "examples", "where", "terms", "state"), rows)
    for each in result.sets:
        _findings(each)
    for title, matches in (
        ("test pictures among the training pictures", result.leaks),
        ("clean training pictures that show the same", result.duplicates),
    ):
        _list(title, [f"{m.ours} = {m.theirs} ({m.similarity:.2f})" for m in matches])
    print(
        f"\n{result.files} files opened; not there: {', '.join(each.name for each in result.absent) or 'none'}"
    )
    say("sound" if result.sound else "not sound: see above")


def _row(each: SetReport, folder: Path) -> tuple[str, ...]:
    dataset, found = each.found.dataset, each.found
    where = sorted({_below(place, folder) for place in found.folders})
    place = where[0] if len(where) == 1 else f"{where[0]} and {len(where) - 1} more"
    return (
        dataset.name,
        dataset.use,
        _count(dataset, len(found.examples)),
        place,
        dataset.terms,
        "sound" if each.sound else "NOT SOUND",
    )


def _count(dataset: DataSet, examples: int) -> str:
    whole = dataset.expected is None or examples == dataset.expected
    return f"{examples}" if whole else f"{examples} of {dataset.expected}"


def _below(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_posix()


def _findings(each: SetReport) -> None:
    name, found = each.found.dataset.name, each.found
    _list(f"{name}: without a partner", [f"{path} (no {partner})" for path, partner in found.alone])
    _list(f"{name}: two pictures of one name", [f"{a} and {b.name}" for a, b in found.namesakes])
    _list(f"{name}: folders without pictures", [str(folder) for folder in found.empty])
    _list(f"{name}: unreadable", each.unreadable.values())
    _list(
        f"{name}: not of the clean picture's size", [f"{a} and {b}: {words}" for a, b, words in each.unequal]
    )
    _list(f"{name}: clean without degraded, so not used (no fault)", [str(path) for path in found.unused])
    _list(f"{name}: smaller than the papers' patches", [str(path) for path in each.small])


def _list(title: str, lines: Iterable[str]) -> None:
    lines = list(lines)
    if lines:
        print(f"\n{title}: {len(lines)}")
        for line in lines[:SHOWN]:
            print(f"  {shown(line)}")
        if len(lines) > SHOWN:
            print(f"  and {len(lines) - SHOWN} more: --report FILE.json has them all")
