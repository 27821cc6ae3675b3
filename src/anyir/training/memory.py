"""Freed memory is kept for the next step instead of being given back to the system.

A training step on a CPU frees and asks for gigabytes in large pieces. As it comes, the GNU C library returns each to
the system at once, which then hands out pages of zeros again, one fault a page: a third of a step's time.
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
"""Parameters of mallopt(3): free memory that is kept at the end of the heap, and the size from which on a piece of
memory is the system's own and goes back as soon as it is freed."""

_DEFAULT: Final = 128 * 1024
"""Bytes, of both, as mallopt(3) has it."""

_NEVER: Final = 2**31 - 1


@contextmanager
def freed_memory_kept(device: torch.device) -> Generator[bool]:
    """Inside, the process keeps what it frees; after it, what is free is given back.

    Holds for the whole process and all its threads. The most that it takes does not grow by it, but that stays taken.

    Args:
        device: where the network trains; nothing is changed unless it is a CPU.

    Yields:
        Whether it is so: for a CPU, where the C library can be told, which is GNU's on Linux.
    """
    library = _gnu_library() if device.type == "cpu" else None
    if library is None:
        yield False
        return
    for parameter in (_TRIM_THRESHOLD, _MMAP_THRESHOLD):
        library.mallopt(parameter, _NEVER)
    try:
        yield True
    finally:
        for parameter in (_TRIM_THRESHOLD, _MMAP_THRESHOLD):
            library.mallopt(parameter, _DEFAULT)
        library.malloc_trim(0)


def _gnu_library() -> Any:  # noqa: ANN401
    """The process's C library, where it is GNU's."""
    if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc":
        return None
    try:
        library = ctypes.CDLL(None)
        library.mallopt, library.malloc_trim  # noqa: B018  # looked up here, or not there
    except (OSError, AttributeError):
        return None
    return library
