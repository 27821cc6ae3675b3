"""The numbers of an ablation: means and intervals over seeds, differences seed by seed, and what they support."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt
from statistics import fmean, stdev
from typing import Final

import torch
from scipy.stats import t as student

from anyir.errors import DataError
from anyir.model.complexity import count_macs, count_parameters
from anyir.model.config import TABLE_5, network_config
from anyir.model.network import AnyIR
from anyir.training.ablation import CLEAN, RunResult, Study

CONFIDENCE: Final = 0.95
MACS_SIDE: Final = 224
"""Side of the image that multiply-accumulates are counted on, as the paper's Table 4 has it."""

INTERVAL_NOTE: Final = (
    "95 % intervals are over seeds: mean ± t(0.975, n − 1) · s / √n for n seeds (Student's t). They say what another "
    "seed would give on these same held-out patches, not what other pictures would; and each holds for its own number, "
    "not for all at once."
)


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds.

    Attributes:
        values: one for each seed, in the order of the seeds.
    """

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Of the values."""
        return fmean(self.values)

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the mean; see :func:`student_interval`."""
        return student_interval(self.values)


@dataclass(frozen=True)
class Variant:
    """One row of the table.

    Attributes:
        row: its letter.
        network: its name.
        switches: switch → whether it is on.
        parameters: learnt values.
        macs: multiply-accumulates for one image of 224×224.
        seconds_per_step: mean over its runs, with their validations and checkpoints.
        psnr: task → PSNR of the restored patches, dB.
        average: of the tasks but clean pictures, dB.
    """

    row: str
    network: str
    switches: Mapping[str, bool]
    parameters: int
    macs: int
    seconds_per_step: float
    psnr: Mapping[str, Estimate]
    average: Estimate


@dataclass(frozen=True)
class Difference:
    """What a row gains on the one before it, in average PSNR, dB, seed by seed."""

    later: str
    earlier: str
    gain: Estimate

    @property
    def sign(self) -> int:
        """1 or -1 where the whole interval lies above or below zero; 0 where it does not, or there is none."""
        if self.gain.interval is None:
            return 0
        low, high = self.gain.interval
        return (low > 0) - (high < 0)


@dataclass(frozen=True)
class AblationTable:
    """The ablation's numbers.

    Attributes:
        seeds: with which all five networks were trained to their end; others are left out.
        degraded: task → PSNR of the degraded patches, dB.
        variants: in the order of the paper's table.
        differences: of each row and the one before it.
    """

    seeds: tuple[int, ...]
    degraded: Mapping[str, float]
    variants: tuple[Variant, ...]
    differences: tuple[Difference, ...]

    @property
    def verdict(self) -> str:
        """One sentence on the order of the rows, which says no more than the intervals support."""
        return order_sentence(self.differences)


def student_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """95 % interval of the mean of a few independent values, by Student's t; None for fewer than two.

    A bootstrap of three values can only give back what lies between the smallest and the largest of them, which is far
    too narrow; t takes account of how little three values say of their own spread.
    """
    if len(values) < 2:
        return None
    quantile = float(student.ppf((1 + CONFIDENCE) / 2, len(values) - 1))
    half = quantile * stdev(values) / sqrt(len(values))
    return fmean(values) - half, fmean(values) + half


def complete_seeds(study: Study, results: Sequence[RunResult]) -> tuple[int, ...]:
    """The seeds with which all five networks are finished."""
    found = {(result.row, result.seed) for result in results}
    return tuple(seed for seed in study.seeds if all((row, seed) in found for row in study.networks))


def ablation_table(study: Study, results: Sequence[RunResult]) -> AblationTable:
    """The table of the seeds with which all five networks are finished.

    Raises:
        DataError: there is no such seed.
    """
    found = {(result.row, result.seed): result for result in results}
    seeds = complete_seeds(study, results)
    if not seeds:
        raise DataError("no seed has all five networks trained yet: there is nothing to compare")
    first = found["a", seeds[0]]
    variants = tuple(
        _variant(study, row, network, [found[row, seed] for seed in seeds])
        for row, network in study.networks.items()
    )
    return AblationTable(
        seeds=seeds,
        degraded={task: score.degraded for task, score in first.scores.items()},
        variants=variants,
        differences=tuple(_difference(later, earlier) for earlier, later in pairwise(variants)),
    )


def _variant(study: Study, row: str, network: str, runs: Sequence[RunResult]) -> Variant:
    config = network_config(network)
    with torch.device("meta"):
        parameters = count_parameters(AnyIR(config))
    tasks = [task for task in study.tasks if task != CLEAN]
    return Variant(
        row=row,
        network=network,
        switches=TABLE_5[row],
        parameters=parameters,
        macs=count_macs(config, MACS_SIDE, MACS_SIDE),
        seconds_per_step=fmean(run.seconds / study.steps for run in runs),
        psnr={task: Estimate(tuple(run.scores[task].restored for run in runs)) for task in study.tasks},
        average=Estimate(tuple(fmean(run.scores[task].restored for task in tasks) for run in runs)),
    )


def _difference(later: Variant, earlier: Variant) -> Difference:
    pairs = zip(later.average.values, earlier.average.values, strict=True)
    return Difference(later.row, earlier.row, Estimate(tuple(ours - theirs for ours, theirs in pairs)))


def order_sentence(differences: Sequence[Difference]) -> str:
    """Whether the rows' order shows: in full, in part, or not for the noise.

    A step of the order is said to show, or to be contradicted, only where its whole interval lies on one side of zero.
    """
    rows = [differences[0].earlier, *(each.later for each in differences)]
    order, seeds = f"The order {' < '.join(rows)}", len(differences[0].gain.values)
    if seeds < 2:
        return f"{order} cannot be judged: one seed has no interval."
    shows = [f"{each.earlier} < {each.later}" for each in differences if each.sign > 0]
    against = [f"{each.earlier} > {each.later}" for each in differences if each.sign < 0]
    open_ = [f"{each.later} − {each.earlier}" for each in differences if not each.sign]
    basis = f"by 95 % intervals over {seeds} seeds, each step taken by itself"
    if not against and not open_:
        return f"{order} shows in full ({basis})."
    if not against and not shows:
        return f"{order} neither shows nor is contradicted: every step is within the noise ({basis})."
    parts = [
        *([f"against it, {' and '.join(against)}"] if against else []),
        *([f"within the noise, {' and '.join(open_)}"] if open_ else []),
    ]
    if not shows:
        return f"{order} does not show: {'; '.join(parts)} ({basis})."
    return f"{order} shows in part: {' and '.join(shows)}; {'; '.join(parts)} ({basis})."
