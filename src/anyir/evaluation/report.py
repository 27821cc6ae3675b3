"""Results as Markdown."""

from __future__ import annotations

from anyir.evaluation.results import Results, SetResult

_HEADINGS = (
    "set",
    "pictures",
    "input PSNR / SSIM",
    "restored PSNR / SSIM",
    "95 % interval",
    "gain",
    "seconds",
    "MP/s",
)


def markdown(results: Results) -> str:
    """A document: the table, its notes, and how it was made."""
    weights = results.weights["name"]
    sha256 = results.weights["sha256"]
    lines = [
        f"# Evaluation of {weights}",
        "",
        *table(results),
        "",
        "## How it was made",
        "",
        f"    {results.command}",
        "",
        *([f"- weights: {weights}, SHA-256 `{sha256}`"] if sha256 else [f"- weights: {weights}"]),
        *(f"- {key}: {value}" for key, value in results.settings.items() if value is not None),
        *(f"- {key}: {value}" for key, value in results.conventions.items()),
        f"- versions: {', '.join(f'{name} {version}' for name, version in results.versions.items())}",
    ]
    return "\n".join(lines) + "\n"


def table(results: Results) -> list[str]:
    """The lines of the table and its notes: PSNR in dB on RGB; a star where papers do not compare."""
    rows = [_HEADINGS, *(_row(result) for result in results.sets)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    lines = [_line(row, widths) for row in rows]
    rule = ["-" * width if column == 0 else "-" * (width - 1) + ":" for column, width in enumerate(widths)]
    lines.insert(1, f"| {' | '.join(rule)} |")
    notes: list[str] = []
    if any(not result.official for result in results.sets):
        notes.append("\\* part of a set, or not its official pictures: not to be compared with papers.")
    notes += [f"Not found: {name} (looked for {where})." for name, where in results.absent.items()]
    for note in notes:
        lines += ["", note]
    return lines


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    padded = [
        cell.ljust(width) if column == 0 else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return f"| {' | '.join(padded)} |"


def _row(result: SetResult) -> tuple[str, ...]:
    pictures = len(result.images)
    interval, speed = result.psnr_interval, result.megapixels_per_second
    return (
        result.title if result.official else f"{result.title} \\*",
        f"{pictures}" if pictures == result.expected else f"{pictures} of {result.expected}",
        _score(result.input_psnr, result.input_ssim),
        _score(result.psnr, result.ssim),
        "–" if interval is None else f"{interval[0]:.2f} to {interval[1]:.2f}",
        "–" if result.gain is None else f"{result.gain:+.2f}",
        f"{result.seconds:.1f}",
        "–" if speed is None else f"{speed:.2f}",
    )


def _score(psnr: float | None, ssim: float | None) -> str:
    return "–" if psnr is None or ssim is None else f"{psnr:.2f} / {ssim:.4f}"
