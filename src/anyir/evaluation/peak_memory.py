"""The memory that one inference takes, measured in a process of its own.

Definition: the largest resident memory of the process up to the end of one inference (``VmHWM`` of Linux's
``/proc/self/status``), less its resident memory (``VmRSS``) just before the engine is made, when NumPy and ONNX Runtime
are imported already. So it holds the weights, what ONNX Runtime makes of them, the input, the output and everything in
between, but no libraries. Not ``getrusage``: on Linux, its peak can be that of the process that started this one.

The engine is that of every other use, on the CPU; the input is random, as the amount does not depend on it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

SIDE: Final = 224
"""Pixels, as in the paper's Table 4."""

STATUS: Final = Path("/proc/self/status")
_RESET: Final = Path("/proc/self/clear_refs")
_TIME_LIMIT: Final = 600
"""Seconds. A network of the published kind takes a few on one core."""


def peak_memory_bytes(path: Path, threads: int | None = None) -> int | None:
    """Memory that one inference at 224×224 takes with the weights in an ONNX file.

    Args:
        path: the file.
        threads: CPU threads; None: as many as the process may use cores.

    Returns:
        Bytes; None where it cannot be measured: not on Linux, or the network does not run at this size.
    """
    if not STATUS.is_file():
        return None
    command = [sys.executable, "-m", __name__, str(path), *([] if threads is None else [str(threads)])]
    try:
        done = subprocess.run(command, capture_output=True, check=True, text=True, timeout=_TIME_LIMIT)
        return int(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def measure_here(path: Path, threads: int | None = None) -> int | None:
    """The measurement itself, in this process, which should have done nothing else yet.

    Returns:
        Bytes; None where the highest point was before the engine was made, so that it says nothing of it.

    Raises:
        WeightsError, EngineUnavailable: as :class:`anyir.inference.OnnxEngine`.
    """
    import numpy as np
    import onnxruntime  # noqa: F401  # pyright: ignore[reportUnusedImport] - before the engine needs it

    from anyir.inference.engine import OnnxEngine

    taken = memory_taken()
    engine = OnnxEngine(path, "cpu", threads)
    engine(np.random.default_rng(0).random((1, 3, SIDE, SIDE), dtype=np.float32))
    return taken()


def memory_taken() -> Callable[[], int | None]:
    """Begin to watch the resident memory of this process.

    Returns:
        What tells how many bytes it has taken since, at its highest; None where the highest point was before, or the
        system does not say.
    """
    if not STATUS.is_file():
        return lambda: None
    forget_peak()
    before, peak_before = status_bytes("VmRSS"), status_bytes("VmHWM")

    def taken() -> int | None:
        peak = status_bytes("VmHWM")
        return peak - before if peak > peak_before else None

    return taken


def forget_peak() -> None:
    """Set the peak to what is resident now, where the system lets us: importing may have taken more for a moment."""
    try:
        _RESET.write_text("5")
    except OSError:
        return


def status_bytes(key: str) -> int:
    """A line of the process's status, such as ``VmHWM:     1936 kB``, whose kB are 1024 bytes.

    Raises:
        ValueError: there is no such line.
    """
    for line in STATUS.read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"{STATUS} has no {key}")


if __name__ == "__main__":
    measured = measure_here(Path(sys.argv[1]), *map(int, sys.argv[2:]))
    sys.stdout.write(str(measured))  # "None" is no number, which the other side takes for "not known"
