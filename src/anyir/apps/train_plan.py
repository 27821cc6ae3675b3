"""What ``anyir train --dry-run`` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anyir.apps.console import table
from anyir.apps.data import print_stats

if TYPE_CHECKING:
    from anyir.training.plan import Plan, StagePlan


def print_plan(plan: Plan) -> None:
    """Data, network, stages, and what they will take."""
    print_stats(plan.stats)
    held_out = ", ".join(f"{name} {count}" for name, count in plan.held_out.items())
    print(f"held out for validation: {sum(plan.held_out.values())} examples{held_out and f' ({held_out})'}\n")
    start = f"starts from {plan.started_from}" if plan.started_from else "starts from random weights"
    teacher = f", learns from {plan.teacher} too" if plan.teacher else ""
    print(f"network   {plan.network}, {plan.parameters:,} parameters, {start}{teacher}")
    print(f"device    {plan.device}")
    print(f"training  {_training(plan)}\n")
    rows = [_stage(number, stage) for number, stage in enumerate(plan.stages, 1)]
    headings = (
        "stage",
        "steps",
        "patch",
        "batch",
        "learning rate",
        "samples/s",
        "data alone",
        "time",
        "GPU memory",
    )
    columns = (
        len(headings) if any(stage.gpu_bytes is not None for stage in plan.stages) else len(headings) - 1
    )
    table(headings[:columns], [row[:columns] for row in rows], right=range(columns))
    print()
    for line in _estimates(plan):
        print(line)


def _training(plan: Plan) -> str:
    parts = [f"{plan.steps_left:,} steps, {plan.samples_left:,} samples"]
    if plan.steps_done:
        parts.append(f"after {plan.steps_done:,} steps that are done")
    if plan.ends_by_time:
        parts.append(f"then the {plan.max_minutes:g} minutes are over, before all {plan.steps:,} steps")
    if plan.epoch_samples is not None:
        parts.append(f"{plan.epochs:.4g} epochs of {plan.epoch_samples:,} samples")
    return "; ".join(parts)


def _stage(number: int, stage: StagePlan) -> tuple[str, ...]:
    rates = (
        "–" if stage.learning_rates is None else " → ".join(f"{rate:.2e}" for rate in stage.learning_rates)
    )
    batch = f"{stage.batch}" if stage.accumulate == 1 else f"{stage.batch} in {stage.accumulate}"
    return (
        f"{number}",
        f"{stage.steps}",
        f"{stage.patch}",
        batch,
        rates,
        f"{stage.samples_per_second:.3g}",
        f"{stage.data_per_second:.3g}",
        shown_time(stage.seconds),
        "" if stage.gpu_bytes is None else shown_bytes(stage.gpu_bytes),
    )


def _estimates(plan: Plan) -> list[str]:
    ending = f" (the budget of {plan.max_minutes:g} min, and a last validation)" if plan.ends_by_time else ""
    validation = (
        f"{plan.validations} validations of {plan.validation_seconds:.1f} s" if plan.held_out else "none"
    )
    memory = "unknown" if plan.peak_bytes is None else shown_bytes(plan.peak_bytes)
    verdict = "enough" if plan.data_keeps_up else "NOT ENOUGH: at least twice is wanted"
    time = f"{shown_time(plan.seconds)}{ending}"
    disk = f"{shown_bytes(plan.model_bytes + plan.state_bytes)} of checkpoints; {shown_bytes(plan.free_bytes)} free"
    room = "" if plan.free_bytes > 2 * (plan.model_bytes + plan.state_bytes) else ": TOO LITTLE"
    return [
        f"time      {time}; validation: {validation}; checkpoints and compiling not counted",
        f"memory    {memory} at most resident in this process, pictures included",
        f"disk      {disk}{room}",
        f"data      alone gives {plan.data_ratio:.3g} times the samples that are trained on: {verdict}",
        "dry run: nothing was trained, nothing was written",
    ]


def shown_time(seconds: float) -> str:
    """A duration, to the minute or the second."""
    hours, rest = divmod(round(seconds), 3600)
    minutes, rest = divmod(rest, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def shown_bytes(number: int) -> str:
    """A size, in MB or GB."""
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.1f} MB"
