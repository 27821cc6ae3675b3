"""The machine that figures were measured on."""

from __future__ import annotations

import platform
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from anyir.inference import usable_cores

_CPU_INFO: Final = Path("/proc/cpuinfo")


def machine() -> dict[str, str | int | None]:
    """What goes with figures: "processor", None where it does not tell, and "cores" that may be used."""
    return {"processor": _processor(), "cores": usable_cores()}


def library_version(name: str) -> str:
    """Of an installed library; asked of the library itself where it was installed under another name.

    ONNX Runtime for GPUs is such a one: the package is called onnxruntime-gpu.
    """
    try:
        return version(name)
    except PackageNotFoundError:
        return str(import_module(name).__version__)


def _processor() -> str | None:
    """Its name; None where the system does not tell."""
    try:
        lines = _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not Linux
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(names), "") or platform.processor() or None
