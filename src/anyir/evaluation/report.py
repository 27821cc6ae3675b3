"""Results as Markdown."""

from __future__ import annotations

from anyir.evaluation.results import Results, SetResult
from anyir.evaluation.sets import SETS
from anyir.evaluation.tables import aligned
from anyir.evaluation.variants import VARIANTS

_HEADINGS = (
    "set",
    "pictures",
    "input PSNR / SSIM",
    "restored PSNR / SSIM",
    "95 % interval",
    "gain",
    "harmed",
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
        *([*variants_table(results), ""] if any(each.variants for each in results.sets) else []),
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
    """The lines of the table and its notes: PSNR in dB on RGB; a star where papers do not compare.

    Sets that were asked for and are not there have a row too, so that nobody takes a part for the whole.
    """
    rows = {result.name: _row(result) for result in results.sets}
    rows |= {name: _absent(name) for name in results.absent}
    lines = aligned([_HEADINGS, *(rows[name] for name in SETS if name in rows)])
    notes: list[str] = []
    if any(not result.official for result in results.sets):
        notes.append("\\* part of a set, or not its official pictures: not to be compared with papers.")
    notes += [f"Not found: {name} (looked for {where})." for name, where in results.absent.items()]
    notes += [_harm(result) for result in results.sets]
    for note in filter(None, notes):
        lines += ["", note]
    return lines


def variants_table(results: Results) -> list[str]:
    """The lines of a table of the same restored pictures under other papers' conventions, and what these are."""
    names = [name for name in VARIANTS if any(name in result.variants for result in results.sets)]
    rows = [("set", "this protocol", *(VARIANTS[name].title for name in names))]
    for result in results.sets:
        scores = result.variants
        cells = (_score(scores[n].psnr, scores[n].ssim) if n in scores else "–" for n in names)
        rows.append((result.title, _score(result.psnr, result.ssim), *cells))
    notes = [f"- {VARIANTS[name].title}: {VARIANTS[name].words}." for name in names]
    return [
        "The same restored pictures under other conventions, PSNR / SSIM:",
        "",
        *aligned(rows),
        "",
        *notes,
    ]


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
        "–" if result.gain is None else f"{len(result.harmed)}",
        f"{result.seconds:.1f}",
        "–" if speed is None else f"{speed:.2f}",
    )


def _absent(name: str) -> tuple[str, ...]:
    return (SETS[name].title, f"0 of {SETS[name].expected}", *["–"] * (len(_HEADINGS) - 2))


def _harm(result: SetResult) -> str:
    """What was made worse, and by how much at worst; empty where nothing was."""
    if result.task == "clean":
        worst = result.worst
        return (
            f"{result.title}: against themselves, {result.psnr:.2f} dB on average and "
            f"{worst.restored.psnr:.2f} dB at worst ({worst.name})."
        )
    if not result.harmed:
        return ""
    worst = result.harmed[0]
    return (
        f"{result.title}: {len(result.harmed)} of {len(result.images)} came back worse than they went in, "
        f"{worst.name} by {-(worst.gain or 0):.2f} dB."
    )


def _score(psnr: float | None, ssim: float | None) -> str:
    return "–" if psnr is None or ssim is None else f"{psnr:.2f} / {ssim:.4f}"
