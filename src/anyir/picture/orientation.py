"""Which way up: the orientation tag in EXIF and XMP, and the same turn for an array.

EXIF is patched in place instead of being parsed and written anew, because makers' notes and unknown tags
survive only so. Source: EXIF 2.32, section 4.6.2 (structure) and 4.6.4 (tag 0x0112); TIFF 6.0, section 2.
"""

from __future__ import annotations

import re
import struct
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

EXIF_PREFIX: Final = b"Exif\x00\x00"
_ORIENTATION_TAG: Final = 0x0112
_VALUE_FORMATS: Final = {1: "B", 3: "H", 4: "I"}  # BYTE, SHORT, LONG: the tag is SHORT, but writers err
_XMP_ORIENTATION: Final = re.compile(rb"""(tiff:Orientation\s*(?:=\s*["']|>)\s*)([2-8])(?=\s*["'<])""")

_Scalar = TypeVar("_Scalar", bound=np.generic)


def make_upright(
    exif: bytes | None, xmp: bytes | None, stated: int | None = None
) -> tuple[int, bytes | None, bytes | None]:
    """The orientation that EXIF states (else XMP, else 1), and both blocks saying 1 instead.

    ``stated`` is what a TIFF says in its own directory, beside both blocks: it decides before them.

    The EXIF thumbnail is unlinked: it shows the old pixels the old way up. A block that cannot be parsed
    stays as it is: nothing else will find an orientation in it either.

    Returns:
        (orientation in 1 to 8, EXIF without its prefix, XMP)
    """
    orientation = stated
    if exif is not None:
        while exif.startswith(EXIF_PREFIX):
            exif = exif[len(EXIF_PREFIX) :]
        by_exif, exif = _patch_exif(exif)
        orientation = orientation or by_exif
    if xmp is not None:
        found = _XMP_ORIENTATION.search(xmp)
        if orientation is None and found is not None:
            orientation = int(found.group(2))
        xmp = _XMP_ORIENTATION.sub(rb"\g<1>1", xmp)
    return orientation or 1, exif or None, xmp or None


def _patch_exif(exif: bytes) -> tuple[int | None, bytes]:
    order = {b"II*\x00": "<", b"MM\x00*": ">"}.get(exif[:4])
    if order is None:
        return None, exif
    patched = bytearray(exif)
    orientation: int | None = None
    try:
        (directory,) = struct.unpack_from(order + "I", exif, 4)
        (count,) = struct.unpack_from(order + "H", exif, directory)
        for entry in range(directory + 2, directory + 2 + 12 * count, 12):
            tag, kind, values = struct.unpack_from(order + "HHI", exif, entry)
            if tag != _ORIENTATION_TAG or values != 1 or kind not in _VALUE_FORMATS:
                continue
            (value,) = struct.unpack_from(order + _VALUE_FORMATS[kind], exif, entry + 8)
            if 1 <= value <= 8:
                orientation = orientation or value
                struct.pack_into(order + _VALUE_FORMATS[kind], patched, entry + 8, 1)
        struct.pack_into(
            order + "I", patched, directory + 2 + 12 * count, 0
        )  # no second directory: no thumbnail
    except struct.error:  # cut short: what was found before the cut holds
        pass
    return orientation, bytes(patched)


def turns(orientation: int) -> bool:
    """Whether this orientation exchanges height and width."""
    return orientation >= 5


def stored_view(upright: NDArray[_Scalar], orientation: int) -> NDArray[_Scalar]:
    """The upright array (H, W, ...) seen in the file's own row and column order; a view, never a copy.

    Filling the view from the file's rows turns the picture without a second array.
    """
    view = upright.swapaxes(0, 1) if turns(orientation) else upright
    # first stored row at the bottom of the upright picture (3, 4) or at its right side (6, 7)
    if orientation in (3, 4, 6, 7):
        view = view[::-1]
    # first stored column at the right side (2, 3) or at the bottom (7, 8)
    if orientation in (2, 3, 7, 8):
        view = view[:, ::-1]
    return view
