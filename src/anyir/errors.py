"""Every error a user can meet, by kind.

Libraries in this package raise these; the applications translate them: the command line into one line and
an exit code, the server into an HTTP status. Each message says what is wrong, which file or key, and what to
do about it, in one line.
"""

from __future__ import annotations

from typing import ClassVar


def shown(name: object) -> str:
    """A file's name for a message, with escapes for what would break the line or the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(name))


def reason(error: BaseException) -> str:
    """Another library's error in its own words, on one line."""
    return shown(" ".join(str(error).split())) or type(error).__name__


class AnyirError(Exception):
    """Base of all errors below: something the user can understand and act on.

    Attributes:
        exit_code: what the command line exits with (1: a file failed; 2: usage or configuration).
        http_status: what the server answers with.
    """

    exit_code: ClassVar[int] = 1
    http_status: ClassVar[int] = 500


class UsageError(AnyirError):
    """The request itself is wrong: an impossible option, a missing path, nothing to do."""

    exit_code = 2
    http_status = 400


class ConfigurationError(UsageError):
    """A configuration or recipe has an unknown key, a wrong type or an impossible value."""


class PictureError(AnyirError):
    """A picture cannot be read or written."""

    http_status = 422


class UnreadablePicture(PictureError):
    """The file is missing, empty, truncated, damaged, or not a picture."""


class UnsupportedPicture(PictureError):
    """A sound picture of a kind that anyir does not handle (animation, CMYK, 16-bit colour, ...)."""

    http_status = 415


class PictureTooLarge(PictureError):
    """More pixels than the limit allows."""

    http_status = 413


class OutputError(AnyirError):
    """A result cannot be written: it exists already, two inputs want it, or the disk refuses."""

    http_status = 409


class ShapeMismatch(AnyirError):
    """Two arrays that belong together differ in shape, or an array is not of the shape a function takes."""

    exit_code = 2
    http_status = 400


class WeightsError(AnyirError):
    """A weight file cannot be used."""

    exit_code = 2


class WeightsNotFound(WeightsError):
    """No shipped weights of that name, and no such file."""


class WeightsDamaged(WeightsError):
    """The file is truncated, altered, or not a weight file of anyir."""


class EngineUnavailable(AnyirError):
    """The requested engine or device is not there, or refused to run."""

    exit_code = 2
    http_status = 503


class MissingExtra(AnyirError):
    """A command needs an optional part of anyir that is not installed."""

    exit_code = 2
    http_status = 501


class DataError(AnyirError):
    """Training or test pictures are missing, incomplete, or must not be used (a test picture in training)."""

    exit_code = 2


class ExportMismatch(AnyirError):
    """An exported model does not compute what the network computes, so it was not written."""


class TrainingError(AnyirError):
    """Training cannot go on: a loss that is not finite, or a run folder that does not fit the recipe."""
