"""Picture files to arrays and back, with all that a picture carries. Only this room opens picture files."""

from anyir.picture.compare import compare_pictures
from anyir.picture.difference import AMPLIFY
from anyir.picture.limits import (
    DATA_SUFFIXES,
    DEFAULT_SUFFIX,
    FORMATS,
    MAX_PIXELS,
    READABLE_SUFFIXES,
    SUFFIXES,
)
from anyir.picture.notes import PngText
from anyir.picture.reading import read, read_image, read_labels, read_size
from anyir.picture.types import LUMA, Metadata, Picture, Samples
from anyir.picture.writing import as_jpeg, check_fits, encode, write, write_image
from anyir.picture.xmp import add_event

__all__ = [
    "AMPLIFY",
    "DATA_SUFFIXES",
    "DEFAULT_SUFFIX",
    "FORMATS",
    "LUMA",
    "MAX_PIXELS",
    "READABLE_SUFFIXES",
    "SUFFIXES",
    "Metadata",
    "Picture",
    "PngText",
    "Samples",
    "add_event",
    "as_jpeg",
    "check_fits",
    "compare_pictures",
    "encode",
    "read",
    "read_image",
    "read_labels",
    "read_size",
    "write",
    "write_image",
]
