"""Picture files made by Pillow itself, so that our reading and writing are judged by another hand."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

MakeFile = Callable[..., bytes]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240713)


@pytest.fixture
def make_file(rng: np.random.Generator) -> MakeFile:
    """``make_file("PNG", "LA", size=(17, 13), **options)``: a random picture as a file's bytes."""

    def make(format: str, mode: str, size: tuple[int, int] = (17, 13), **options: Any) -> bytes:
        width, height = size
        if mode == "I;16":
            image = Image.fromarray(rng.integers(0, 65536, (height, width), dtype=np.uint16))
        else:
            channels = {"L": 1, "1": 1, "LA": 2, "RGB": 3, "P": 3, "CMYK": 4, "RGBA": 4, "PA": 4}.get(mode, 3)
            samples = rng.integers(0, 256, (height, width, channels), dtype=np.uint8)
            base = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[channels]
            image = Image.fromarray(samples.squeeze(2) if channels == 1 else samples)
            image = image if base == mode else image.convert(mode)
        buffer = io.BytesIO()
        image.save(buffer, format=format, **options)
        return buffer.getvalue()

    return make


@pytest.fixture
def make_exif() -> Callable[..., bytes]:
    """``make_exif(6, order=">")``: make, orientation, exposure, maker's note, thumbnail directory."""

    def make(orientation: int | None, order: str = "<", thumbnail: bool = True) -> bytes:
        make_text, note = b"Anycam\0\0", b"NOTE\x00\x01\x02opaque maker bytes"

        def entry(tag: int, kind: int, count: int, value: bytes) -> bytes:
            return struct.pack(order + "HHI", tag, kind, count) + value.ljust(4, b"\0")

        def long(value: int) -> bytes:
            return struct.pack(order + "I", value)

        count = 2 if orientation is None else 3
        after = 8 + 2 + 12 * count + 4
        exif_directory = after + len(make_text)
        values = exif_directory + 2 + 12 * 2 + 4
        first = [entry(0x010F, 2, 7, long(after))]
        if orientation is not None:
            first.append(entry(0x0112, 3, 1, struct.pack(order + "H", orientation)))
        first.append(entry(0x8769, 4, 1, long(exif_directory)))
        second = [entry(0x829A, 5, 1, long(values)), entry(0x927C, 7, len(note), long(values + 8))]
        end = values + 8 + len(note)
        blob = (b"II*\0" if order == "<" else b"MM\0*") + long(8)
        blob += struct.pack(order + "H", count) + b"".join(first) + long(end if thumbnail else 0) + make_text
        blob += struct.pack(order + "H", 2) + b"".join(second) + long(0)
        blob += struct.pack(order + "II", 1, 250) + note
        if thumbnail:
            blob += struct.pack(order + "H", 1) + entry(0x0103, 3, 1, struct.pack(order + "H", 6)) + long(0)
        return blob

    return make


@pytest.fixture
def peak_memory_of_reading():
    """peak_memory_of_reading(path) → MiB by which reading a file raises the peak memory of a process of its own."""
    if sys.platform != "linux":
        pytest.skip("peak memory is read from /proc")

    def measure(path):
        code = (
            "import re; from anyir.picture import read\n"
            "peak = lambda: int(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1]) / 1024\n"
            f"before = peak(); picture = read({str(path)!r}); print(peak() - before)"
        )
        out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        return float(out.stdout)

    return measure
