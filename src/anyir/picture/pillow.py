"""Pillow kept to our terms: its process-wide settings while we use it, and its errors as ours."""

from __future__ import annotations

import struct
import threading
import warnings
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from PIL import Image, ImageFile, PngImagePlugin

from anyir.picture.limits import MAX_TEXT_CHUNK, MAX_TEXTS

PILLOW_ERRORS: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What Pillow's parsers raise on damaged or hostile bytes. Catch it around calls of Pillow only."""


class _Terms:
    """Pillow's settings while any of our threads uses it.

    They are global to the process: changed when the first thread comes in, restored when the last one leaves,
    so that two threads never restore each other's changes.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._quiet: warnings.catch_warnings[None] | None = None
        self._max_pixels: int | None = None
        self._truncated = False
        self._texts = (0, 0)

    def enter(self, max_pixels: int) -> None:
        with self._lock:
            if self._users == 0:
                self._max_pixels, self._truncated = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
                self._quiet = warnings.catch_warnings()
                self._quiet.__enter__()
                # about metadata that Pillow repairs or skips; what makes a file unreadable is an exception
                warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
                warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
                ImageFile.LOAD_TRUNCATED_IMAGES = False
                self._texts = PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY
                PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY = MAX_TEXT_CHUNK, MAX_TEXTS
            self._users += 1
            if Image.MAX_IMAGE_PIXELS is not None:
                Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, max_pixels)

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0 and self._quiet is not None:
                self._quiet.__exit__(None, None, None)
                Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = self._max_pixels, self._truncated
                PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY = self._texts


_TERMS: Final = _Terms()


@contextmanager
def on_our_terms(max_pixels: int = 0) -> Generator[None]:
    """Within: pictures of up to ``max_pixels`` open, truncated ones never load, and remarks stay unsaid.

    Texts in a PNG inflate no further than :mod:`anyir.picture.limits` allows.
    """
    _TERMS.enter(max_pixels)
    try:
        yield
    finally:
        _TERMS.leave()
