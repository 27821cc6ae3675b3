"""Picture files to arrays and back, with all that a picture carries. Only this room opens picture files."""

from anyir.picture.compare import side_by_side
from anyir.picture.limits import (
    DATA_SUFFIXES,
    DEFAULT_SUFFIX,
    FORMATS,
    MAX_PIXELS,
    READABLE_SUFFIXES,
    SUFFIXES,
)
from anyir.picture.reading import read, read_image, read_labels, read_size
from anyir.picture.types import Metadata, Picture, Samples
from anyir.picture.writing import encode, write, write_image
from anyir.picture.xmp import add_event

__all__ = [
    "DATA_SUFFIXES",
    "DEFAULT_SUFFIX",
    "FORMATS",
    "MAX_PIXELS",
    "READABLE_SUFFIXES",
    "SUFFIXES",
    "Metadata",
    "Picture",
    "Samples",
    "add_event",
    "encode",
    "read",
    "read_image",
    "read_labels",
    "read_size",
    "side_by_side",
    "write",
    "write_image",
]
