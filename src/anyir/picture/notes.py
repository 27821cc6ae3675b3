"""What people and programs wrote into a file besides EXIF and XMP: captions, comments, texts.

Sources: IPTC-IIM 4.2 in an image resource block of JPEG's APP13 (Adobe Photoshop file formats, "Image Resources");
JPEG (ITU-T T.81), B.2.4.5 (comment); PNG (ISO/IEC 15948), 11.3.3 (textual information).
"""

from __future__ import annotations

import struct
from collections.abc import Generator
from typing import IO, Any, Final, NamedTuple

from PIL.PngImagePlugin import PngInfo, PngStream, iTXt

from anyir.picture.containers import png_chunks
from anyir.picture.limits import MAX_INFLATED, MAX_TEXTS

IPTC_TAG: Final = 0x83BB
"""Of a TIFF, for the same records."""

_IPTC: Final = 0x0404
_LONG: Final = 4
_RECORD: Final = b"\x1c"  # begins every IPTC record; those swapped between machines do not begin with it
_APP13: Final = b"\xff\xed"
_COMMENT: Final = b"\xff\xfe"
_BLOCKS: Final = b"Photoshop 3.0\x00"
_MAX_SEGMENT: Final = 65_533

MAX_IPTC: Final = _MAX_SEGMENT - len(_BLOCKS) - 13
"""Bytes of IPTC that a segment of a JPEG holds, beside a block's signature, number, empty name, size and padding."""

_TEXT_CHUNKS: Final = (b"tEXt", b"zTXt", b"iTXt")
_XMP: Final = "XML:com.adobe.xmp"
_RAW_PROFILE: Final = "Raw profile type "


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
    """The IPTC records of a JPEG or TIFF that Pillow has opened, or None.

    Thumbnails and paths that Photoshop writes beside them are not kept.
    """
    records: Any = None
    if kind == "jpeg":
        resources = image.info.get("photoshop")
        records = resources.get(_IPTC) if isinstance(resources, dict) else None
    elif kind == "tiff":
        # As stored: programs state it to be 32-bit numbers, of which Pillow's own access gives the first.
        records = getattr(image.tag_v2, "_tagdata", {}).get(IPTC_TAG)
        if isinstance(records, bytes) and image.tag_v2.tagtype.get(IPTC_TAG) == _LONG:
            swapped = b"".join(records[at : at + 4][::-1] for at in range(0, len(records), 4))
            records = swapped if swapped.startswith(_RECORD) and not records.startswith(_RECORD) else records
    return records if isinstance(records, bytes) and records else None


def iptc_segment(records: bytes) -> bytes:
    """IPTC records as a segment of a JPEG; empty where there are none, or they are too long for one."""
    if not 0 < len(records) <= MAX_IPTC:
        return b""
    block = b"8BIM" + struct.pack(">HHI", _IPTC, 0, len(records)) + records + b"\x00" * (len(records) % 2)
    return _APP13 + struct.pack(">H", 2 + len(_BLOCKS) + len(block)) + _BLOCKS + block


def comments_of(image: Any) -> tuple[bytes, ...]:  # noqa: ANN401 - JPEG images only
    """The comments of a JPEG that Pillow has opened, in their order, but for empty ones and those between its scans."""
    return tuple(content for name, content in image.applist if name == "COM" and content)


def comment_segments(comments: tuple[bytes, ...]) -> bytes:
    """Comments as segments of a JPEG, one for each.

    Raises:
        ValueError: if one is too long for a segment, which no comment of a JPEG is.
    """
    if any(len(comment) > _MAX_SEGMENT for comment in comments):
        raise ValueError(f"a JPEG's comment holds {_MAX_SEGMENT} bytes at most")
    return b"".join(_COMMENT + struct.pack(">H", 2 + len(comment)) + comment for comment in comments)


def png_texts_of(image: Any, file: IO[bytes]) -> tuple[PngText, ...]:  # noqa: ANN401 - PNG images only
    """The texts of a PNG that Pillow has loaded, but for profiles in disguise: those it knows by their own names."""
    several = sum(name in _TEXT_CHUNKS for name, _, _ in png_chunks(file)) > len(image.text)
    texts: list[PngText] = []
    for keyword, text in _every_text(file) if several else image.text.items():
        if keyword == _XMP or keyword.startswith(_RAW_PROFILE):
            continue
        if isinstance(text, iTXt):
            texts.append(PngText(keyword, text, _string(text.lang), _string(text.tkey)))
        else:
            texts.append(PngText(keyword, text))
    return tuple(texts)


def _every_text(file: IO[bytes]) -> Generator[tuple[str, str]]:
    """Every text of a PNG, of which Pillow's image keeps the last of each keyword: its decoder is asked for each."""
    decoder = PngStream(file)
    decode = {b"tEXt": decoder.chunk_tEXt, b"zTXt": decoder.chunk_zTXt, b"iTXt": decoder.chunk_iTXt}
    for name, start, length in png_chunks(file):
        if name in decode:
            file.seek(start)
            decoder.im_text.clear()
            decode[name](start, length)
            yield from decoder.im_text.items()


def add_png_texts(chunks: PngInfo, texts: tuple[PngText, ...], others: int) -> None:
    """Put texts among the chunks that Pillow will write, as many as a PNG may have to be read again.

    None is compressed: programs look for theirs in plain chunks, and readers limit what inflates.

    Args:
        chunks: where they go.
        texts: in order; the first that does not fit is left out, and those behind it.
        others: characters of the text that is there already, the XMP.
    """
    characters, in_a_language = others, 2  # chunks of the kinds that count: profile and XMP
    for each in texts:
        characters += len(each.text)
        in_a_language += each.language is not None
        if characters > MAX_TEXTS or in_a_language > MAX_INFLATED:
            return
        if each.language is None:
            chunks.add_text(each.keyword, each.text)
        else:
            chunks.add_itxt(each.keyword, each.text, each.language, each.translated or "")


def _string(value: str | bytes | None) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value or ""
