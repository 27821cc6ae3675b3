"""How fast a network runs in several ways: plain PyTorch, the exported model, peers; and what whole photographs take.

Each measurement has a process of its own (:mod:`anyir.evaluation.benchmark_worker`), as the waiting threads of two
runtimes disturb each other; and the ways take turns, round by round, so that all of them meet the same machine. On one
that does other things too, the shortest of a way's times says most about it, and the median how much it was disturbed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from anyir.errors import EngineUnavailable, UsageError
from anyir.inference.tiles import MIN_SIDE, SIZE_MULTIPLE

WORKER: Final = "anyir.evaluation.benchmark_worker"

REFERENCE: Final = "PyTorch"
"""The way that others are compared with."""

MAX_SIDE: Final = 8192
MAX_MEGAPIXELS: Final = 100.0

PHOTO_RUNS: Final = 3
PHOTO_SECONDS: Final = 60.0
"""A photograph is restored so often, in a process each, or until so much time has gone; the shortest run counts."""

Precision = Literal["float32", "bfloat16"]
Measure = Callable[[Mapping[str, Any]], dict[str, Any]]
"""Takes what a worker is to do, gives what it found."""


@dataclass(frozen=True)
class Way:
    """A way to run a network.

    Attributes:
        name: for the table.
        engine: the runtime.
        path: the checkpoint for PyTorch, the ONNX file for ONNX Runtime.
        macs_224: multiply-accumulates of the network at 224×224; None where they are not known.
        channels_last: PyTorch only: the layout of its arrays.
        precision: PyTorch only: of the weights and of the computation.
        compiled: PyTorch only: by torch.compile.
    """

    name: str
    engine: Literal["onnx", "torch"]
    path: str
    macs_224: int | None = None
    channels_last: bool = False
    precision: Precision = "float32"
    compiled: bool = False


@dataclass(frozen=True)
class Case:
    """A way, and the batch it is given: ``batch`` square images with sides of ``size`` pixels."""

    way: Way
    size: int
    batch: int = 1

    @property
    def pixels(self) -> int:
        """Of the whole batch."""
        return self.batch * self.size**2


@dataclass(frozen=True)
class Timing:
    """What was found of a case.

    Attributes:
        case: what was measured.
        rounds: seconds of every run, by round; warming up is not among them.
        provider: what really ran it.
        peak_bytes: memory that one process took for it, over what its libraries had taken; of the device on CUDA.
        difference: largest absolute difference of its result from the reference's, on the same image in [0, 1].
        error: why there is no figure, in one line.
    """

    case: Case
    rounds: tuple[tuple[float, ...], ...] = ()
    provider: str | None = None
    peak_bytes: int | None = None
    difference: float | None = None
    error: str | None = None

    @property
    def runs(self) -> list[float]:
        """Seconds of every run."""
        return [seconds for each in self.rounds for seconds in each]

    @property
    def best(self) -> float | None:
        """Seconds of the shortest run."""
        return min(self.runs, default=None)

    @property
    def median(self) -> float | None:
        """Seconds."""
        return median(self.runs) if self.runs else None

    @property
    def middle(self) -> tuple[float, float] | None:
        """Seconds between which the middle half of the runs lies."""
        if len(self.runs) < 2:
            return None
        low, _, high = quantiles(self.runs, n=4, method="inclusive")
        return low, high


@dataclass(frozen=True)
class PhotoTiming:
    """A whole photograph from JPEG to JPEG, as ``anyir restore`` does it, with tiles and guard.

    Attributes:
        width: pixels.
        height: pixels.
        tiles: that it was restored in.
        read_seconds: decoding.
        restore_seconds: the network, the guard and the blending.
        write_seconds: encoding and writing.
        first_seconds: from the start of the process until the first tile was restored.
        peak_bytes: the largest resident memory of the process, everything included.
        runs: of which this is the one with the shortest time in the network; of the others, the largest memory and the
            shortest time until the first tile.
    """

    width: int
    height: int
    tiles: int
    read_seconds: float
    restore_seconds: float
    write_seconds: float
    first_seconds: float
    peak_bytes: int | None
    runs: int = 1

    @property
    def pixels(self) -> int:
        """Of the photograph."""
        return self.width * self.height

    @property
    def decoded_bytes(self) -> int:
        """Of its RGB pixels at 8 bits."""
        return 3 * self.pixels


@dataclass(frozen=True)
class Benchmark:
    """Everything that one run measured.

    Attributes:
        timings: of the cases, in their order.
        matrix_rates: precision → operations a second of a large matrix product, the best that was seen; an addition
            and a multiplication are two. On CUDA, the device's.
        photos: from small to large.
        failures: why a photograph is missing, a line each.
        settings: machine, versions and how it was measured.
    """

    timings: tuple[Timing, ...]
    matrix_rates: Mapping[str, float]
    photos: tuple[PhotoTiming, ...] = ()
    failures: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def speedup(self, timing: Timing) -> float | None:
        """How many times as fast as the reference on the same batch, by the shortest runs."""
        reference = next(
            (
                each
                for each in self.timings
                if each.case.way.name == REFERENCE and _batch(each) == _batch(timing)
            ),
            None,
        )
        if reference is None or reference.best is None or timing.best is None:
            return None
        return reference.best / timing.best

    def share(self, timing: Timing) -> float | None:
        """Operations of the network a second, as a share of the machine's matrix product at this precision.

        Operations are the network's as published (twice the multiply-accumulates at 224×224, scaled by area), however
        the way computes them: so a form with fewer operations gets the credit.
        """
        rate, macs = self.matrix_rates.get(timing.case.way.precision), timing.case.way.macs_224
        if timing.best is None or rate is None or macs is None:
            return None
        return 2 * macs * timing.case.pixels / 224**2 / timing.best / rate


def check_sizes(sizes: Sequence[int], batches: Sequence[int], megapixels: Sequence[float]) -> None:
    """See that what is to be measured is possible.

    Raises:
        UsageError: a side, a batch or a photograph that is not; the message names it.
    """
    for size in sizes:
        if not MIN_SIDE <= size <= MAX_SIDE or size % SIZE_MULTIPLE:
            raise UsageError(
                f"size = {size}: must be a multiple of {SIZE_MULTIPLE} from {MIN_SIDE} to {MAX_SIDE} pixels"
            )
    for batch in batches:
        if batch < 1:
            raise UsageError(f"batch = {batch}: must be at least 1")
    for each in megapixels:
        if not 0.1 <= each <= MAX_MEGAPIXELS:
            raise UsageError(f"photo = {each:g}: must be from 0.1 to {MAX_MEGAPIXELS:g} megapixels")


def run_benchmark(
    cases: Sequence[Case],
    *,
    weights: str,
    megapixels: Sequence[float] = (),
    rounds: int = 5,
    device: str = "cpu",
    threads: int | None = None,
    settings: Mapping[str, Any] | None = None,
    measure: Measure | None = None,
    on_step: Callable[[int, int, str], None] | None = None,
) -> Benchmark:
    """Measure every case in every round, and then each photograph once.

    Args:
        cases: what to measure. One that fails is not tried again.
        weights: for the photographs: a name or an ONNX file.
        megapixels: of the photographs, which are made up.
        rounds: how often each case takes its turn.
        device: "cpu" or "cuda".
        threads: CPU threads of each process; None: as many as it may use cores.
        settings: to be kept with the result.
        measure: what measures, in place of a process.
        on_step: called as ``on_step(done, total, what)`` before each measurement.

    Raises:
        UsageError: as :func:`check_sizes`, or no rounds.
        EngineUnavailable: the matrix product cannot be measured.
    """
    check_sizes([case.size for case in cases], [case.batch for case in cases], megapixels)
    if rounds < 1:
        raise UsageError(f"rounds = {rounds}: must be at least 1")
    measure = measure or measure_in_a_process
    common = {"device": device, "threads": threads}
    total, done = rounds * (len(cases) + 1) + len(megapixels), 0
    found = [Timing(case) for case in cases]
    rates: dict[str, float] = {}

    def step(what: str) -> None:
        nonlocal done
        if on_step is not None:
            on_step(done, total, what)
        done += 1

    with tempfile.TemporaryDirectory(prefix="anyir-benchmark-") as folder:
        for turn in range(rounds):
            step("matrix product")
            answer = measure({"do": "matrix", **common})
            if "error" in answer:
                raise EngineUnavailable(f"the matrix product cannot be measured: {answer['error']}")
            for precision, rate in answer["rates"].items():
                rates[precision] = max(rate, rates.get(precision, 0.0))
            for offset in range(len(cases)):
                place = (offset + turn) % len(cases)  # no way always runs after the same other
                case = cases[place]
                step(f"{case.way.name}, {case.batch} x {case.size}x{case.size}")
                if found[place].error is None:
                    result = Path(folder) / f"{place}.float32" if turn == 0 else None
                    asked = {**asdict(case), "result": None if result is None else str(result)}
                    found[place] = _added(found[place], measure({"do": "network", **asked, **common}))
        found = _with_differences(found, Path(folder))
        photos: list[PhotoTiming] = []
        failures: list[str] = []
        for each in sorted(megapixels):
            photo = _photo(each, weights, Path(folder), common, measure, step)
            if isinstance(photo, str):
                failures.append(photo)
            else:
                photos.append(photo)
    return Benchmark(tuple(found), rates, tuple(photos), tuple(failures), dict(settings or {}))


def measure_in_a_process(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Let a new process do what is asked; ``error`` in the answer, in one line, where it fails."""
    command = [sys.executable, "-m", WORKER, json.dumps({**asked, "started": time.time()})]
    done = subprocess.run(command, capture_output=True, text=True)
    lines = done.stdout.strip().splitlines()
    if done.returncode == 0 and lines:
        return json.loads(lines[-1])
    problem = (done.stderr.strip().splitlines() or ["nothing was said"])[-1]
    killed = f"ended by signal {-done.returncode}, for want of memory perhaps"
    return {"error": killed if done.returncode < 0 else problem}


def photograph(width: int, height: int) -> NDArray[np.uint8]:
    """A made-up picture (height, width, 3): a smooth scene with some grain, so that a JPEG of it has a usual size."""
    random = np.random.default_rng(0)
    across, down = np.linspace(0, 7, width, dtype=np.float32), np.linspace(0, 5, height, dtype=np.float32)
    picture = np.empty((height, width, 3), np.uint8)
    for row in range(height):
        shade = 128 + 60 * np.sin(across + down[row]) + random.standard_normal(width, np.float32) * 6
        picture[row] = np.clip(shade[:, None] + (0, 20, -20), 0, 255)
    return picture


def _batch(timing: Timing) -> tuple[int, int]:
    return timing.case.size, timing.case.batch


def _added(timing: Timing, answer: Mapping[str, Any]) -> Timing:
    """What was found, and one round more."""
    if "error" in answer:
        return Timing(timing.case, error=str(answer["error"]))
    peaks = [peak for peak in (timing.peak_bytes, answer["peak_bytes"]) if peak is not None]
    return replace(
        timing,
        rounds=(*timing.rounds, tuple(answer["seconds"])),
        provider=str(answer["provider"]),
        peak_bytes=max(peaks, default=None),
    )


def _with_differences(found: Sequence[Timing], folder: Path) -> list[Timing]:
    """Results compared with the reference's; without one there is nothing to compare with."""
    results = {place: folder / f"{place}.float32" for place in range(len(found))}
    references = {
        _batch(each): _read(results[place])
        for place, each in enumerate(found)
        if each.case.way.name == REFERENCE and results[place].is_file()
    }
    compared: list[Timing] = []
    for place, each in enumerate(found):
        reference = references.get(_batch(each))
        if reference is None or each.case.way.macs_224 is None or not results[place].is_file():
            compared.append(each)  # a peer without a count is another network: its result is another
            continue
        difference = float(np.abs(_read(results[place]) - reference).max())
        if not np.isfinite(difference):
            compared.append(Timing(each.case, error="the result is not finite"))
            continue
        compared.append(replace(each, difference=difference))
    return compared


def _read(path: Path) -> NDArray[np.float32]:
    """A result as a worker left it: its values in their order."""
    return np.fromfile(path, np.float32)


def _photo(
    megapixels: float,
    weights: str,
    folder: Path,
    common: Mapping[str, Any],
    measure: Measure,
    step: Callable[[str], None],
) -> PhotoTiming | str:
    """A photograph's times; or why there are none."""
    from anyir.picture import Picture, write

    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)  # three to four, as most cameras
    width = round(megapixels * 1e6 / height)
    step(f"a photograph of {width}x{height}")
    path = folder / f"{width}x{height}.jpg"
    write(Picture(photograph(width, height)), path)
    answers: list[dict[str, Any]] = []
    spent = 0.0
    while not answers or (len(answers) < PHOTO_RUNS and spent < PHOTO_SECONDS):
        answer = measure({"do": "photo", "path": str(path), "weights": weights, **common})
        if "error" in answer:
            path.unlink()
            return f"a photograph of {width}x{height} cannot be restored: {answer['error']}"
        answers.append(answer)
        spent += answer["restore_seconds"]
    path.unlink()
    peaks = [each["peak_bytes"] for each in answers if each["peak_bytes"] is not None]
    summed_up: dict[str, Any] = {
        **min(answers, key=lambda each: each["restore_seconds"]),
        "first_seconds": min(each["first_seconds"] for each in answers),
        "peak_bytes": max(peaks, default=None),
    }
    return PhotoTiming(width, height, **summed_up, runs=len(answers))
