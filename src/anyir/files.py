"""Files that appear whole or not at all: one way of writing for every room."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

from anyir.errors import OutputError, shown

_BINARY: Final[int] = getattr(os, "O_BINARY", 0)  # Windows would turn every 0x0A into two bytes
_FULL: Final = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
_NEW_FILE: Final[int] = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY
_PIECE: Final = 1 << 20
_TEMPORARY: Final = re.compile(r"\.anyir-[0-9a-f]{16}\.tmp")
"""What a file is called while it is written; a process killed at that moment leaves one behind."""


def write_atomically(path: Path, content: bytes | Callable[[], bytes], *, overwrite: bool = True) -> None:
    """Write ``content`` so that ``path`` holds, at every moment, either what it held before or all of it.

    The bytes go to a temporary name in the same folder, reach the disk, and then take the name. A new file gets the
    permissions that the user's umask gives; a replaced one keeps its own; a link is followed.

    Args:
        path: the file; its folder must exist.
        content: the bytes, or what makes them: it is called only once the file is known to be writable, so that no
            long computation is thrown away.
        overwrite: whether a file that is there may be replaced.

    Raises:
        OutputError: ``path`` is there already (without ``overwrite``) or is no regular file, its folder is
            missing, or the disk refuses. Nothing is left behind and an existing file is untouched.
    """
    try:
        target = Path(os.path.realpath(path)) if overwrite else path
        permissions = _existing_permissions(path, target, overwrite=overwrite)
        data = content if isinstance(content, bytes) else content()
        _write_and_rename(target, data, permissions, overwrite=overwrite)
    except FileExistsError:
        raise _exists(path) from None
    except FileNotFoundError:
        raise OutputError(
            f"{shown(path)}: its folder does not exist; create {shown(path.parent)} first"
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        raise cannot_write(path, error) from error


def leftovers(folder: Path) -> list[Path]:
    """The files in a folder that are being written, or that a process left when it was killed while writing them."""
    try:
        names = sorted(name for name in os.listdir(folder) if _TEMPORARY.fullmatch(name))
    except OSError:  # no such folder, or one that may not be read: it shows none
        return []
    return [path for path in map(folder.joinpath, names) if _is_file(path)]


def _is_file(path: Path) -> bool:
    """Whether it is an ordinary file, not a link; one that is gone since it was listed is none."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def remove_leftovers(folder: Path) -> list[Path]:
    """Remove what killed processes left in a folder, but nothing that another is writing at this moment.

    Returns:
        What was removed. A file that cannot be is left where it is.
    """
    removed: list[Path] = []
    for path in leftovers(folder):
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDWR | _BINARY)
            try:
                free = hold(descriptor, wait=False)
                if free:
                    path.unlink()
                    removed.append(path)
            finally:
                os.close(descriptor)
    return removed


def hold(descriptor: int, *, wait: bool = True) -> bool:
    """Hold an open file until it is closed, against other processes that ask for the same.

    Windows keeps an open file from being removed by itself, and a file system without such locks goes without.

    Returns:
        Whether it is held now; False only without ``wait``, where another process holds it.
    """
    if sys.platform != "win32":
        import fcntl

        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            return False
        except OSError:
            return wait
    return True


def utf8(text: str) -> bytes:
    """Text as the bytes of a file that we write: UTF-8 whatever names of other files are in it.

    Bytes of a name that are no UTF-8 are lone surrogates to Python. Each becomes an escape, from which JSON makes the
    name again.
    """
    return text.encode("utf-8", "backslashreplace")


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal; it is read piece by piece.

    Raises:
        OSError: it cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def cannot_write(path: Path, error: OSError | ValueError) -> OutputError:
    """The error to raise where the system refuses to write a file: what it says, and what to do about it."""
    what = (error.strerror if isinstance(error, OSError) else None) or error
    full = isinstance(error, OSError) and error.errno in _FULL
    advice = "make room, or choose another place" if full else "choose another place"
    return OutputError(f"{shown(path)}: cannot be written ({shown(what)}); {advice}")


def make_folder(folder: Path) -> None:
    """Make a folder for files to be written, and those above it, unless it is there.

    Raises:
        OutputError: something else is in its place, or the disk refuses.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot make the folder {shown(folder)}: {error.strerror or error}; choose another output"
        ) from error


def check_folder(folder: Path) -> Path:
    """See, without changing anything, that :func:`make_folder` and files in the folder are likely to succeed.

    Returns:
        The folder itself where it is there, else the nearest above it that is.

    Raises:
        OutputError: something else is in its place, or the folder that is there may not be written to.
    """
    place = folder.absolute()
    while not os.path.lexists(place):
        place = place.parent
    if not place.is_dir():
        raise OutputError(
            f"cannot make the folder {shown(folder)}: {shown(place)} is no folder; choose another output"
        )
    if not os.access(place, os.W_OK | os.X_OK):
        raise OutputError(f"{shown(place)}: may not be written to; choose another place")
    return place


def _exists(path: Path) -> OutputError:
    return OutputError(f"{shown(path)}: exists already; choose another name or allow overwriting")


def _existing_permissions(path: Path, target: Path, *, overwrite: bool) -> int | None:
    """Permission bits of the file that will be replaced; None if there is none."""
    if not target.parent.is_dir():
        raise FileNotFoundError
    if not os.path.lexists(target):
        return None
    if not overwrite:
        raise _exists(path)
    mode = target.stat().st_mode
    if not stat.S_ISREG(mode):
        raise OutputError(f"{shown(path)}: is a folder or a device, not a file; choose another name")
    return stat.S_IMODE(mode)


def _write_and_rename(target: Path, data: bytes, permissions: int | None, *, overwrite: bool) -> None:
    temporary = target.with_name(f".anyir-{secrets.token_hex(8)}.tmp")
    try:
        with _new_file(temporary) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            if (
                sys.platform == "win32"
            ):  # which does not rename an open file; elsewhere it is held until it has its name
                file.close()
            if permissions is not None:
                temporary.chmod(permissions)
            if overwrite:
                temporary.replace(target)
            else:
                _give_new_name(temporary, target)
    finally:  # also when interrupted; after success there is none, or a second name of the finished file
        with contextlib.suppress(OSError):
            temporary.unlink()


def _new_file(path: Path) -> BinaryIO:
    """Open a new file, held from the first moment, so that :func:`remove_leftovers` of another process spares it."""
    while True:
        descriptor = os.open(path, _NEW_FILE, 0o666)
        hold(descriptor)
        if os.fstat(descriptor).st_nlink:
            return os.fdopen(descriptor, "wb")
        os.close(descriptor)  # it was removed before it was held


def _give_new_name(temporary: Path, target: Path) -> None:
    """Name the finished file ``target`` unless that name is taken, even if it was taken a moment ago.

    Raises:
        FileExistsError: the name is taken.
    """
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise
    except (
        OSError,
        NotImplementedError,
    ):  # a file system without links: reserve the name, then replace our own file
        os.close(os.open(target, _NEW_FILE, 0o666))
        try:
            temporary.replace(target)
        except BaseException:
            target.unlink()
            raise
