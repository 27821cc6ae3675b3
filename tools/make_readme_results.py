"""Write the figures in README.md and docs/ and the picture of the samples anew, from the committed results.

With --check, only say whether they quote the results files as they are.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from anyir.evaluation.comparison import comparison_tables
from anyir.evaluation.report import table
from anyir.evaluation.results import Results, SetResult, load_results
from anyir.evaluation.tables import to_markdown
from anyir.files import write_atomically
from anyir.inference import Restorer, default_name
from anyir.picture import read_image, write_image

ROOT: Final = Path(__file__).resolve().parents[1]
README: Final = ROOT / "README.md"
PAGE: Final = ROOT / "docs" / "results.md"
GUARD: Final = ROOT / "docs" / "guard.md"
ENGINES: Final = ROOT / "docs" / "engines.md"
FIGURE: Final = ROOT / "docs" / "images" / "samples.jpg"
SAMPLES: Final = ("noise.png", "rain.jpg", "haze.jpg", "blur.jpg", "dark.png")
STARRED: Final = "\\* Part of a set, or not its official pictures: not to be compared with papers."
DECISIVE: Final = ("engine", "tile", "guard", "seed")
"""Settings of an evaluation that change its figures, beside the quality."""

SIDE: Final = 296
GAP: Final = 6


def results_block(name: str, results: Results) -> str:
    """The README's words on the results: a table of means, and what they are means of."""
    file = f"results/{name}/results.md"
    lines = [
        f"`{name}`, the default, on the test sets at hand. PSNR in dB and SSIM on RGB, means over pictures: of the",
        "degraded picture, and of the restored one.",
        "",
        "| test set | pictures | degraded | restored |",
        "|---|---:|---:|---:|",
    ]
    for each in results.sets:
        if each.input_psnr is not None and each.input_ssim is not None:
            lines.append(
                f"| {each.title}{star(each)} | {len(each.images)} | {each.input_psnr:.2f} / {each.input_ssim:.3f} "
                f"| **{each.psnr:.2f}** / {each.ssim:.3f} |"
            )
    clean = next((each for each in results.sets if each.task == "clean"), None)
    lines += ["", STARRED]
    if clean is not None:
        lines += [f"Clean pictures ({len(clean.images)}) come back at {clean.psnr:.1f} dB."]
    lines += ["", f"From [{file}]({file}), made by", "", "```sh", results.command, "```", ""]
    return "\n".join(lines)


def page_block(name: str, results: Results) -> str:
    """The numbers of docs/results.md: every set, and the published tables with ours in them."""
    return "\n".join(
        [
            f"## `{name}` on every set",
            "",
            "The degraded picture and the restored one, means over pictures. Harmed is how many came back worse.",
            "",
            *table(results),
            "",
            *(to_markdown(each) for each in comparison_tables([results])[:2]),
        ]
    )


def speed_block(benchmark: Mapping[str, Any]) -> str:
    """The README's words on speed: against PyTorch, and whole photographs."""
    settings = benchmark["settings"]
    faster = " and ".join(
        f"{each['speedup']:.1f} times (on {each['size']}×{each['size']} pixels)"
        for each in benchmark["timings"]
        if each["engine"] == "onnx"
    )
    lines = [
        f"With {settings['threads']} threads of a CPU ({settings['processor']}), the exported model is",
        f"{faster} as fast as PyTorch. Whole photographs, from JPEG to JPEG:",
        "",
        "| photograph | seconds | µs a pixel | peak memory of the process |",
        "|---|---:|---:|---:|",
    ]
    for each in benchmark["photos"]:
        seconds = each["read_seconds"] + each["restore_seconds"] + each["write_seconds"]
        pixels = each["width"] * each["height"]
        lines.append(
            f"| {pixels / 1e6:.0f} MP | {seconds:.0f} | {each['restore_seconds'] / pixels * 1e6:.1f} "
            f"| {each['peak_bytes'] / 1e6:.0f} MB |"
        )
    file = "results/benchmark/benchmark.md"
    return "\n".join(
        [*lines, "", f"From [{file}]({file}), made by", "", "```sh", settings["command"], "```", ""]
    )


def guard_block(name: str) -> str:
    """A table of the page on the guard, and the command that made it."""
    file = f"results/guard/{name}.md"
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    command = next(line.removeprefix("- command: ") for line in lines if line.startswith("- command: "))
    table = [line for line in lines if line.startswith("|")]
    return "\n".join([*table, "", f"From [{file}](../{file}), made by", "", "```sh", command, "```", ""])


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
        figures = (f"{before.psnr:.2f}", f"{each.psnr:.2f}")
        better = max(figures, key=float)
        shown = " | ".join(f"**{each}**" if each == better else each for each in figures)
        lines.append(f"| {each.title}{star(each)} | {len(each.images)} | {shown} | {harmed} |")
    lines += ["", STARRED, "", f"From [{file}](../{file}), made by"]
    return "\n".join([*lines, "", "```sh", best.command, "```", ""])


def what_differs(standard: Results, best: Results) -> str:
    """What two evaluations differ in beside their quality; empty where their figures can be set side by side."""
    theirs = {each.name: [image.name for image in each.images] for each in standard.sets}
    ours = {each.name: [image.name for image in each.images] for each in best.sets}
    differences = [key for key in DECISIVE if standard.settings.get(key) != best.settings.get(key)]
    differences += ["weights"] if standard.weights != best.weights else []
    differences += ["conventions"] if _decisive(standard.conventions) != _decisive(best.conventions) else []
    differences += [f"pictures of {key}" for key, names in ours.items() if theirs.get(key) != names]
    return ", ".join(differences)


def _decisive(conventions: Mapping[str, str]) -> dict[str, str]:
    """Without the variants, which are measured beside the figures that are compared."""
    return {key: value for key, value in conventions.items() if key != "variants"}


def star(each: SetResult) -> str:
    """The mark of a set whose figures must not be compared with papers'; :data:`STARRED` explains it."""
    return "" if each.official else " \\*"


def blocks() -> list[tuple[Path, str, str]]:
    """File, name and content of every block that quotes results."""
    name = default_name()
    results = load_results(ROOT / "results" / name / "results.json")
    best = load_results(ROOT / "results" / f"{name}-best" / "results.json")
    benchmark = json.loads((ROOT / "results" / "benchmark" / "benchmark.json").read_text(encoding="utf-8"))
    return [
        (README, "results", results_block(name, results)),
        (README, "speed", speed_block(benchmark)),
        (PAGE, "results", page_block(name, results)),
        (GUARD, "limits", guard_block("limits")),
        (GUARD, "guard", guard_block("guard")),
        (ENGINES, "quality", quality_block(name, results, best)),
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
    write_image(sample_figure(), FIGURE, overwrite=True)


if __name__ == "__main__":
    main()
