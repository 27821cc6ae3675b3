"""Freed memory is kept for the next step instead of being given back to the system.

A training step on a CPU frees and asks for gigabytes in large pieces. As it comes, the GNU C library returns each to
the system at once, which then hands out pages of zeros again, one fault a page: almost a third of a step's time.
"""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Final

import torch

_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_MMAP_MAX: Final = -4
"""Parameters of mallopt(3): free memory that is kept at the end of the heap; from which size on a piece of memory is
the system's own, which goes back as soon as it is freed; and how many pieces may be."""

_KEPT: Final = {_TRIM_THRESHOLD: -1, _MMAP_MAX: 0}
"""Nothing goes back, and every piece lies in the heap."""

_AFTERWARDS: Final = {_TRIM_THRESHOLD: 64 * 2**20, _MMAP_THRESHOLD: 32 * 2**20, _MMAP_MAX: 65536}
"""Where the library's own adaptation ends in a process that frees large pieces; it ends with the first mallopt."""


@contextmanager
def freed_memory_kept(device: torch.device) -> Generator[bool]:
    """Inside, the process keeps what it frees; after it, what is free is given back.

    Holds for the whole process and all its threads. What it takes stays taken, and can grow a little beyond what it
    would take otherwise, as pieces do not fit where others of another size were. Replaces the environment's MALLOC_*.

    Args:
        device: where the network trains; nothing is changed unless it is a CPU.

    Yields:
        Whether it is so: for a CPU, where the C library can be told, which is GNU's on Linux.
    """
    library = _gnu_library() if device.type == "cpu" else None
    if library is None:
        yield False
        return
    try:
        yield _tell(library, _KEPT)
    finally:
        _tell(library, _AFTERWARDS)
        library.malloc_trim(0)


def _tell(library: Any, parameters: dict[int, int]) -> bool:  # noqa: ANN401
    """Whether the library took all of them: mallopt returns 0 for what it refuses."""
    return all([library.mallopt(parameter, value) for parameter, value in parameters.items()])


def _gnu_library() -> Any:  # noqa: ANN401
    """The process's C library, where it is GNU's."""
    if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc":
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None
