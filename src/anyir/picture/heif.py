"""AVIF and HEIC, which are read but not written: HEIC by an optional library, AVIF by Pillow where it was built so.

Source: HEIF (ISO/IEC 23008-12) and its boxes (ISO/IEC 14496-12); AV1 in it (av1C, AV1-ISOBMFF 2.3.3).
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from importlib import import_module
from typing import IO, Final

from PIL import Image, features
from PIL.ImageFile import ImageFile

from anyir.errors import UnsupportedPicture

READ_ONLY: Final = frozenset({"avif", "heif"})
"""Formats that are read but not written; a picture in one of them is written as PNG unless told otherwise."""

_META_BYTES: Final = 1 << 20
_AV1: Final = re.compile(rb"av1C..(.)", re.DOTALL)  # the third byte says how deep the samples are
_UNSTATED: Final = 2
_SRGB: Final = (1, 13)  # primaries and transfer function of H.273


@dataclass(frozen=True)
class HeifFacts:
    """What the file says of its samples, as far as it goes: a damaged file is for the decoder to judge.

    Attributes:
        bits: per sample of AV1, which Pillow would reduce to 8 without a word; 0 if there is no AV1.
        cicp: the PNG chunk ("cICP", data) that gives the samples the same meaning; empty where it goes without saying.
    """

    bits: int
    cicp: tuple[tuple[bytes, bytes], ...]


def heif_facts(file: IO[bytes]) -> HeifFacts:
    """Read the properties in a HEIC or AVIF file's box ``meta``."""
    meta = _meta(file)
    bits = max((_bits_of_av1(found[1][0]) for found in _AV1.finditer(meta)), default=0)
    colours = meta.find(b"colrnclx")
    if colours < 0 or len(meta) < colours + 12 or b"colrprof" in meta or b"colrrICC" in meta:
        return HeifFacts(bits, ())
    primaries, transfer = struct.unpack_from(">HH", meta, colours + 8)
    if (primaries, transfer) == _SRGB or _UNSTATED in (primaries, transfer) or max(primaries, transfer) > 255:
        return HeifFacts(bits, ())
    return HeifFacts(bits, ((b"cICP", bytes((primaries, transfer, 0, 1))),))


def _bits_of_av1(flags: int) -> int:
    high, twelve = flags & 0x40, flags & 0x20
    return 8 if not high else 12 if twelve else 10


def _meta(file: IO[bytes]) -> bytes:
    file.seek(0)
    while len(head := file.read(8)) == 8:
        length, name = struct.unpack(">I4s", head)
        if name == b"meta":
            return file.read(min(max(length - 8, 0), _META_BYTES))
        if length < 8:  # to the end of the file, or longer than 32 bits can say: pixels
            break
        file.seek(length - 8, 1)
    return b""


def open_heif(file: IO[bytes], kind: str, name: str) -> ImageFile:
    """Open a HEIC ("heif") or AVIF file; as with Pillow, its pixels are not yet decoded.

    Raises:
        UnsupportedPicture: what decodes it is not there; the message says how to get it.
    """
    file.seek(0)
    if kind == "avif":
        if not features.check("avif"):
            raise UnsupportedPicture(
                f"{name}: this build of Pillow reads no AVIF; upgrade it with: pip install --upgrade pillow"
            )
        return Image.open(file, formats=["AVIF"])
    try:
        plugin = import_module("pillow_heif")
    except ImportError:
        raise UnsupportedPicture(
            f"{name}: is a HEIC file, which an optional library reads; "
            "install it with: pip install 'anyir[heif]', or convert it to PNG or JPEG first"
        ) from None
    return plugin.HeifImageFile(file)  # the class itself: to register it would change Pillow for everybody
