"""What people and programs wrote into a file besides EXIF and XMP: captions, comments, texts.

Sources: IPTC-IIM 4.2 in an image resource block of JPEG's APP13 (Adobe Photoshop file formats, "Image Resources");
JPEG (ITU-T T.81), B.2.4.5 (comment); PNG (ISO/IEC 15948), 11.3.3 (textual information).
"""

from __future__ import annotations

import struct
from typing import Any, Final, NamedTuple

from PIL.PngImagePlugin import PngInfo, iTXt

IPTC_TAG: Final = 0x83BB
"""Of a TIFF, for the same records."""

_IPTC: Final = 0x0404
_LONG: Final = 4
_RECORD: Final = b"\x1c"  # begins every IPTC record; those swapped between machines do not begin with it
_APP13: Final = b"\xff\xed"
_BLOCKS: Final = b"Photoshop 3.0\x00"
_MAX_SEGMENT: Final = 65_533
_HEAD: Final = len(_BLOCKS) + 12  # a block's signature, number, empty name and size
_XMP: Final = "XML:com.adobe.xmp"
_RAW_PROFILE: Final = "Raw profile type "
_WORTH_COMPRESSING: Final = 1024


class PngText(NamedTuple):
    """A text of a PNG.

    Attributes:
        keyword: what it is, by the standard's words or any others.
        text: of any length.
        language: of the text; None where the file has no such field, as Latin-1 is all it holds.
        translated: the keyword in that language; None likewise.
    """

    keyword: str
    text: str
    language: str | None = None
    translated: str | None = None


def iptc_of(image: Any, kind: str) -> bytes | None:  # noqa: ANN401 - attributes of JPEG or TIFF images
    """The IPTC records of a JPEG or TIFF that Pillow has opened, or None; those that fit into a JPEG's segment.

    Thumbnails and paths that Photoshop writes beside them are not kept.
    """
    records: Any = None
    if kind == "jpeg":
        resources = image.info.get("photoshop")
        records = resources.get(_IPTC) if isinstance(resources, dict) else None
    elif kind == "tiff":
        # As stored: programs state it to be 32-bit numbers, of which Pillow's own access gives the first.
        records = getattr(image.tag_v2, "_tagdata", {}).get(IPTC_TAG)
        swapped = image.tag_v2.tagtype.get(IPTC_TAG) == _LONG and isinstance(records, bytes)
        if swapped and not records.startswith(_RECORD):
            records = b"".join(records[at : at + 4][::-1] for at in range(0, len(records), 4))
    if not isinstance(records, bytes) or not 0 < len(records) <= _MAX_SEGMENT - _HEAD - 1:
        return None
    return records


def iptc_segment(records: bytes) -> bytes:
    """IPTC records as a segment of a JPEG."""
    block = b"8BIM" + struct.pack(">HHI", _IPTC, 0, len(records)) + records + b"\x00" * (len(records) % 2)
    return _APP13 + struct.pack(">H", 2 + len(_BLOCKS) + len(block)) + _BLOCKS + block


def png_texts_of(image: Any) -> tuple[PngText, ...]:  # noqa: ANN401 - PNG images only
    """The texts of a PNG that Pillow has loaded, but for profiles in disguise: those it knows by their own names."""
    texts: list[PngText] = []
    for keyword, text in image.text.items():
        if keyword == _XMP or keyword.startswith(_RAW_PROFILE):
            continue
        if isinstance(text, iTXt):
            texts.append(PngText(keyword, text, _string(text.lang), _string(text.tkey)))
        else:
            texts.append(PngText(keyword, text))
    return tuple(texts)


def add_png_texts(chunks: PngInfo, texts: tuple[PngText, ...]) -> None:
    """Put texts among the chunks that Pillow will write, long ones compressed."""
    for each in texts:
        long = len(each.text) > _WORTH_COMPRESSING
        if each.language is None:
            chunks.add_text(each.keyword, each.text, zip=long)
        else:
            chunks.add_itxt(each.keyword, each.text, each.language, each.translated or "", zip=long)


def _string(value: str | bytes | None) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value or ""
