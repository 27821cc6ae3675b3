"""An ablation's table as JSON, Markdown and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from anyir._version import __version__
from anyir.evaluation.ablation_table import (
    CONFIDENCE,
    INTERVAL_NOTE,
    MACS_SIDE,
    AblationTable,
    Estimate,
    Variant,
)
from anyir.evaluation.tables import aligned
from anyir.settings import to_mapping
from anyir.training.ablation import CLEAN, RunResult, Study

FORMAT: Final = 1
SWITCHES: Final = {
    "skip_split": "skip-split",
    "cross_update": "cross-sigmoid",
    "gated_adaptation": "GatedDA",
}
"""Switch of the network → what the paper's table calls it."""


def to_json(study: Study, table: AblationTable, results: Sequence[RunResult], command: str) -> str:
    """The results file: what was used, every finished run, and what the table makes of them. PSNR in dB."""
    content = {
        "anyir_ablation": FORMAT,
        "anyir": __version__,
        "command": command,
        "study": to_mapping(study),
        "seeds": list(table.seeds),
        "devices": devices(results),
        "interval": {"confidence": CONFIDENCE, "method": INTERVAL_NOTE},
        "verdict": table.verdict,
        "degraded": _rounded(table.degraded),
        "variants": {each.row: _variant(each) for each in table.variants},
        "differences": [
            {"later": each.later, "earlier": each.earlier, **_estimate(each.gain)}
            for each in table.differences
        ],
        "runs": [
            {
                "row": each.row,
                "seed": each.seed,
                "steps": study.steps,
                "samples": each.samples,
                "seconds": each.seconds,
                "psnr": _rounded({task: score.restored for task, score in each.scores.items()}),
            }
            for each in results
        ],
    }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def to_csv(table: AblationTable) -> str:
    """A line for each variant; an interval's bounds are empty where there is one seed."""
    stream = io.StringIO()
    tasks = list(table.degraded)
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(
        (
            *("variant", "network", *SWITCHES, "parameters", "macs", "seconds_per_step", "seeds"),
            *("average", "average_low", "average_high"),
            *(f"{task}{end}" for task in tasks for end in ("", "_low", "_high")),
        )
    )
    for each in table.variants:
        cells = [cell for estimate in (each.average, *each.psnr.values()) for cell in _cells(estimate)]
        writer.writerow(
            (
                *(each.row, each.network, *(int(each.switches[switch]) for switch in SWITCHES)),
                *(each.parameters, each.macs, f"{each.seconds_per_step:.6g}", len(table.seeds), *cells),
            )
        )
    return stream.getvalue()


def markdown(study: Study, table: AblationTable, results: Sequence[RunResult], command: str) -> str:
    """A document: the verdict, three tables, and how they were made."""
    recipe, held_out = study.recipe, study.recipe.validation
    stages = "; ".join(f"patches of {stage.patch} in batches of {stage.batch}" for stage in recipe.stages)
    budget = (
        ""
        if study.max_minutes is None
        else f", as many as fit into {study.max_minutes:g} minutes for all runs"
    )
    seeds = f"{', '.join(map(str, table.seeds))}" + (
        "" if len(table.seeds) == len(study.seeds) else f" ({len(table.seeds)} of {len(study.seeds)} planned)"
    )
    examples = ", ".join(f"{name} {count}" for name, count in study.examples.items())
    lines = [
        "# Ablation of the network's parts",
        "",
        table.verdict,
        "",
        *table_lines(table),
        "",
        "## How it was made",
        "",
        f"    {command}",
        "",
        f"- recipe: {study.recipe_name}; the networks differ in the switches alone",
        f"- every run: {study.steps} steps{budget}, {results[0].samples} samples; {stages}",
        f"- seeds: {seeds}; with one seed, all five networks see the same batches",
        f"- trained on: {examples} (examples)",
        f"- validated on: {held_out.samples} patches of each task, up to {held_out.patch}×{held_out.patch}, from one "
        f"in {held_out.hold_out_every} clean pictures of each set, held out; PSNR on RGB",
        f"- device: {_devices_in_words(results)}",
        f"- anyir {__version__}",
    ]
    return "\n".join(lines) + "\n"


def table_lines(table: AblationTable) -> list[str]:
    """The three tables in Markdown, and the note on their intervals."""
    variants = [
        (
            each.row,
            *("✓" if each.switches[switch] else "–" for switch in SWITCHES),
            f"{each.parameters / 1e6:.3f} M",
            f"{each.macs / 1e9:.2f} G",
            f"{each.seconds_per_step:.3g}",
            _with_half(each.average),
        )
        for each in table.variants
    ]
    tasks = [
        (task, f"{before:.2f}", *(_with_half(each.psnr[task]) for each in table.variants))
        for task, before in table.degraded.items()
    ]
    differences = [
        (
            f"{each.later} − {each.earlier}",
            f"{each.gain.mean:+.3f}",
            _interval(each.gain),
            ", ".join(f"{value:+.3f}" for value in each.gain.values),
        )
        for each in table.differences
    ]
    headings = ("", *SWITCHES.values(), "parameters", f"MACs at {MACS_SIDE}²", "s a step", "average PSNR, dB")
    without = f"The average is without {CLEAN} pictures. " if CLEAN in table.degraded else ""
    return [
        *aligned((headings, *variants)),
        "",
        *aligned((("PSNR, dB", "degraded", *(each.row for each in table.variants)), *tasks)),
        "",
        *aligned((("gain, dB", "mean", "95 % interval", "seed by seed"), *differences)),
        "",
        f"{without}{INTERVAL_NOTE}",
    ]


def devices(results: Sequence[RunResult]) -> list[str]:
    """What trained the runs, each named once."""
    return sorted({result.device for result in results})


def _devices_in_words(results: Sequence[RunResult]) -> str:
    names = devices(results)
    warning = ": not the same for all runs, so that seconds a step do not compare the networks"
    return "; ".join(names) + (warning if len(names) > 1 else "")


def _with_half(estimate: Estimate) -> str:
    """``28.31 ± 0.12``."""
    interval = estimate.interval
    return f"{estimate.mean:.2f}" + ("" if interval is None else f" ± {(interval[1] - interval[0]) / 2:.2f}")


def _interval(estimate: Estimate) -> str:
    interval = estimate.interval
    return "–" if interval is None else f"{interval[0]:+.3f} to {interval[1]:+.3f}"


def _cells(estimate: Estimate) -> tuple[str, str, str]:
    low, high = ("", "") if estimate.interval is None else (f"{bound:.4f}" for bound in estimate.interval)
    return f"{estimate.mean:.4f}", low, high


def _variant(each: Variant) -> dict[str, Any]:
    return {
        "network": each.network,
        "switches": dict(each.switches),
        "parameters": each.parameters,
        "macs_224": each.macs,
        "seconds_per_step": round(each.seconds_per_step, 6),
        "average": _estimate(each.average),
        "psnr": {task: _estimate(estimate) for task, estimate in each.psnr.items()},
    }


def _estimate(estimate: Estimate) -> dict[str, Any]:
    interval = estimate.interval
    return {
        "mean": round(estimate.mean, 6),
        "interval": None if interval is None else [round(bound, 6) for bound in interval],
        "values": [round(value, 6) for value in estimate.values],
    }


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {key: round(value, 6) for key, value in values.items()}
