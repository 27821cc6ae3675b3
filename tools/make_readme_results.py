"""Write the figures in README.md and docs/, the chart of sizes and the picture of the samples anew, from the results.

With --check, only say whether they quote the results files as they are.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from anyir.evaluation.comparison import comparison_tables
from anyir.evaluation.figures import size_comparisons
from anyir.evaluation.report import table
from anyir.evaluation.results import Results, SetResult, load_results
from anyir.evaluation.size_figure import size_figure
from anyir.evaluation.tables import to_markdown
from anyir.files import write_atomically
from anyir.inference import Restorer, available, default_name, load_facts
from anyir.picture import read_image, write_image

ROOT: Final = Path(__file__).resolve().parents[1]
RESULTS: Final = ROOT / "results"
README: Final = ROOT / "README.md"
PAGE: Final = ROOT / "docs" / "results.md"
GUARD: Final = ROOT / "docs" / "guard.md"
ENGINES: Final = ROOT / "docs" / "engines.md"
FIGURE: Final = ROOT / "docs" / "images" / "samples.jpg"
SIZES: Final = ROOT / "docs" / "images" / "size.png"
SAMPLES: Final = ("noise.png", "rain.jpg", "haze.jpg", "blur.jpg", "dark.png")
STARRED: Final = "\\* Part of a set, or not its official pictures: not to be compared with papers."
DECISIVE: Final = ("engine", "tile", "guard", "seed")
"""Settings of an evaluation that change its figures, beside the quality."""

BENCHMARKS: Final = ("benchmark", "benchmark-anyir")
"""Folders of the results: the default weights' first."""

SIDE: Final = 296
GAP: Final = 6


def results_block(measured: Sequence[Results]) -> str:
    """The README's words on the results: a table of means, and what they are means of.

    Args:
        measured: of the default weights, and of any others.

    Raises:
        ValueError: they are of other pictures, or differ in more than their weights.
    """
    files = [f"results/{each.weights['name']}/results.md" for each in measured]
    for each, file in zip(measured[1:], files[1:], strict=True):
        if differences := what_differs(measured[0], each, weights=False):
            raise ValueError(f"{file}: not to be compared with {files[0]}: {differences}; run {each.command}")
    names = [f"`{each.weights['name']}`" for each in measured]
    lines = [
        f"{names[0]} is the default. PSNR in dB and SSIM on RGB, means over pictures, degraded and restored.",
        "",
        f"| test set | pictures | degraded | {' | '.join(names)} |",
        "|---|---:|---:|" + "---:|" * len(measured),
    ]
    below: list[str] = []
    for of_one_set in zip(*(each.sets for each in measured), strict=True):
        first = of_one_set[0]
        if first.input_psnr is not None and first.input_ssim is not None:
            restored = " | ".join(
                f"{psnr} / {each.ssim:.3f}"
                for psnr, each in zip(best_in_bold(of_one_set), of_one_set, strict=True)
            )
            degraded = f"{first.input_psnr:.2f} / {first.input_ssim:.3f}"
            lines.append(f"| {first.title}{star(first)} | {len(first.images)} | {degraded} | {restored} |")
        else:
            back = " and ".join(
                f"{each.psnr:.1f} dB from {name}" for each, name in zip(of_one_set, names, strict=True)
            )
            clean = f"Clean pictures ({len(first.images)}) come back at {back}."
            below.append(clean)
    links = " and ".join(f"[{file}]({file})" for file in files)
    commands = [each.command for each in measured]
    lines += ["", STARRED, *below, "", f"From {links}, made by", "", "```sh", *commands, "```", ""]
    return "\n".join(lines)


def best_in_bold(results: Sequence[SetResult]) -> list[str]:
    """PSNR of several results on one set, as printed; the best in bold, unless it is less than what went in."""
    figures = [f"{each.psnr:.2f}" for each in results]
    best = max(figures, key=float)
    if (before := results[0].input_psnr) is not None and float(best) < before:
        return figures
    return [f"**{each}**" if each == best else each for each in figures]


def page_block(measured: Sequence[Results]) -> str:
    """The numbers of docs/results.md: every set, and the published tables with ours in them."""
    said = (
        "The degraded picture and the restored one, means over pictures. Harmed is how many came back worse."
    )
    lines: list[str] = []
    for each in measured:
        lines += [f"## `{each.weights['name']}` on every set", "", said, "", *table(each), ""]
    return "\n".join([*lines, *(to_markdown(each) for each in comparison_tables(measured)[:2])])


def speed_block(benchmarks: Mapping[str, Mapping[str, Any]]) -> str:
    """The README's words on speed: against PyTorch, and whole photographs.

    Args:
        benchmarks: folder of the results → what was measured, of the default weights first.

    Raises:
        ValueError: they were measured on other machines, or with other versions.
    """
    (_, first), *_ = benchmarks.items()
    settings = first["settings"]
    for folder, each in benchmarks.items():
        for key in ("processor", "threads", "versions"):
            if each["settings"][key] != settings[key]:
                raise ValueError(f"{folder}: not to be compared: {key}; run {each['settings']['command']}")
    faster = " and ".join(
        f"{each['speedup']:.1f} times (on {each['size']}×{each['size']} pixels)"
        for each in first["timings"]
        if each["engine"] == "onnx"
    )
    names = [f"`{each['settings']['weights']['name']}`" for each in benchmarks.values()]
    lines = [
        f"With {settings['threads']} threads of a CPU ({settings['processor']}), the exported {names[0]} is",
        f"{faster} as fast as PyTorch. Whole photographs, from JPEG to JPEG:",
        "",
        f"| photograph | {' | '.join(f'{name}: seconds | peak memory of the process' for name in names)} |",
        "|---|" + "---:|---:|" * len(names),
    ]
    photos = [
        {photo["width"] * photo["height"]: photo for photo in each["photos"]} for each in benchmarks.values()
    ]
    for pixels in photos[0]:
        cells = [_photo_cells(each.get(pixels)) for each in photos]
        lines.append(f"| {pixels / 1e6:.0f} MP | {' | '.join(cells)} |")
    links = " and ".join(f"[{folder}/benchmark.md]({folder}/benchmark.md)" for folder in benchmarks)
    commands = [each["settings"]["command"] for each in benchmarks.values()]
    earlier = earlier_weights(each["settings"]["weights"] for each in benchmarks.values())
    return "\n".join([*lines, "", f"From {links}{earlier}, made by", "", "```sh", *commands, "```", ""])


def earlier_weights(measured: Iterable[Mapping[str, Any]]) -> str:
    """What to say of figures where any was measured with other weights than those that are shipped by that name now.

    Args:
        measured: name and SHA-256 of weights.
    """
    shipped = {name: facts.sha256 for name, facts in load_facts().models.items()}
    is_earlier = any(shipped.get(each["name"]) != each["sha256"] for each in measured)
    return " (with earlier weights than those shipped)" if is_earlier else ""


def _photo_cells(photo: Mapping[str, Any] | None) -> str:
    if photo is None:
        return "– | –"
    seconds = photo["read_seconds"] + photo["restore_seconds"] + photo["write_seconds"]
    return f"{seconds:.0f} | {photo['peak_bytes'] / 1e6:.0f} MB"


def guard_block(name: str) -> str:
    """A table of the page on the guard, and the command that made it."""
    file = f"results/guard/{name}.md"
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    command = next(line.removeprefix("- command: ") for line in lines if line.startswith("- command: "))
    table = [line for line in lines if line.startswith("|")]
    about = json.loads((ROOT / file).with_suffix(".json").read_text(encoding="utf-8"))
    earlier = earlier_weights([{"name": about["weights"], "sha256": about["sha256"]}])
    return "\n".join(
        [*table, "", f"From [{file}](../{file}){earlier}, made by", "", "```sh", command, "```", ""]
    )


def quality_block(name: str, standard: Results, best: Results) -> str:
    """What the best quality gains over the standard one, on the sets that both were measured on.

    Raises:
        ValueError: they differ in more than their quality.
    """
    file = f"results/{name}-best/results.md"
    if differences := what_differs(standard, best):
        raise ValueError(f"{file}: not to be compared with results/{name}: {differences}; run {best.command}")
    lines = [
        "| test set | pictures | standard | best | came back worse than they went in |",
        "|---|---:|---:|---:|---:|",
    ]
    of_standard = {each.name: each for each in standard.sets}
    for each in best.sets:
        before = of_standard[each.name]
        harmed = "–" if each.input_psnr is None else f"{len(before.harmed)} and {len(each.harmed)}"
        shown = " | ".join(best_in_bold((before, each)))
        lines.append(f"| {each.title}{star(each)} | {len(each.images)} | {shown} | {harmed} |")
    lines += ["", STARRED, "", f"From [{file}](../{file}), made by"]
    return "\n".join([*lines, "", "```sh", best.command, "```", ""])


def what_differs(one: Results, other: Results, *, weights: bool = True) -> str:
    """What two evaluations differ in beside their quality; empty where their figures can be set side by side.

    Args:
        one: which has all the pictures that ``other`` has.
        other: set beside it.
        weights: whether other weights are a difference too.
    """
    theirs = {each.name: [image.name for image in each.images] for each in one.sets}
    ours = {each.name: [image.name for image in each.images] for each in other.sets}
    differences = [key for key in DECISIVE if one.settings.get(key) != other.settings.get(key)]
    differences += ["weights"] if weights and one.weights != other.weights else []
    differences += ["conventions"] if _decisive(one.conventions) != _decisive(other.conventions) else []
    differences += [f"pictures of {key}" for key, names in ours.items() if theirs.get(key) != names]
    differences += ["sets"] if not weights and list(theirs) != list(ours) else []
    return ", ".join(differences)


def _decisive(conventions: Mapping[str, str]) -> dict[str, str]:
    """Without the variants, which are measured beside the figures that are compared."""
    return {key: value for key, value in conventions.items() if key != "variants"}


def star(each: SetResult) -> str:
    """The mark of a set whose figures must not be compared with papers'; :data:`STARRED` explains it."""
    return "" if each.official else " \\*"


def measured_results() -> list[Results]:
    """Of the packaged weights: the default's, and those of others that were evaluated."""
    files = {each: RESULTS / each / "results.json" for each in available()}
    return [load_results(file) for each, file in files.items() if each == default_name() or file.is_file()]


def blocks() -> list[tuple[Path, str, str]]:
    """File, name and content of every block that quotes results."""
    name, measured = default_name(), measured_results()
    best = load_results(RESULTS / f"{name}-best" / "results.json")
    benchmarks = {
        f"results/{folder}": json.loads((RESULTS / folder / "benchmark.json").read_text(encoding="utf-8"))
        for folder in BENCHMARKS
    }
    return [
        (README, "results", results_block(measured)),
        (README, "speed", speed_block(benchmarks)),
        (PAGE, "results", page_block(measured)),
        (GUARD, "limits", guard_block("limits")),
        (GUARD, "guard", guard_block("guard")),
        (ENGINES, "quality", quality_block(name, measured[0], best)),
    ]


def written_anew(text: str, name: str, block: str) -> str:
    """A page with the content of one of its blocks replaced.

    Raises:
        ValueError: there is no such block.
    """
    begin, end = f"<!-- {name}:begin -->\n", f"<!-- {name}:end -->"
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"no block {name!r}: it stands between {begin.strip()} and {end}")
    return f"{before}{begin}{block}{end}{after}"


def sample_figure() -> np.ndarray:
    """Degraded above, restored below, a square of one sample a column: (H, W, 3) uint8."""
    restorer = Restorer()
    columns: list[np.ndarray] = []
    for file in SAMPLES:
        degraded = read_image(ROOT / "samples" / "degraded" / file)
        both = [_square(degraded), _square(np.asarray(restorer(degraded)))]
        columns.append(np.concatenate((both[0], np.full((GAP, SIDE, 3), 255, np.uint8), both[1])))
    gap = np.full((len(columns[0]), GAP, 3), 255, np.uint8)
    return np.concatenate([part for column in columns for part in (column, gap)][:-1], axis=1)


def _square(image: np.ndarray) -> np.ndarray:
    """From the top, where heads are, and from the middle across."""
    left = (image.shape[1] - SIDE) // 2
    return image[:SIDE, left : left + SIDE]


def main() -> None:
    """Exits with 1 if --check found a difference, or results cannot be set side by side."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit with 1 if the README differs"
    )
    arguments = parser.parse_args()
    try:
        wanted = blocks()
    except ValueError as error:
        sys.exit(str(error))
    for file, name, block in wanted:
        before = file.read_text(encoding="utf-8")
        after = written_anew(before, name, block)
        if arguments.check and after != before:
            sys.exit(f"{file} is out of date; run: python tools/make_readme_results.py")
        if not arguments.check:
            write_atomically(file, after.encode())
    if arguments.check:
        return
    FIGURE.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(SIZES, size_figure(size_comparisons(measured_results()), SIZES.suffix))
    write_image(sample_figure(), FIGURE, overwrite=True)


if __name__ == "__main__":
    main()
