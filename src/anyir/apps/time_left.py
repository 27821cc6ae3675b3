"""How long a folder job will still take, without promising more than is known."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final


class TimeLeft:
    """Seconds left, by the bytes of the files: of one format, twice the file is about twice the work.

    Only pictures that were really restored say how fast it goes: what is skipped or fails takes no time, and counts for
    none. Each format has a rate of its own once one of it is done, and until then that of all.

    Args:
        sources: the inputs of the job.
        clock: seconds, from any beginning.
    """

    def __init__(self, sources: Sequence[Path], clock: Callable[[], float] = time.monotonic) -> None:
        self._clock: Final = clock
        self._sizes: Final = {source: _size(source) for source in sources}
        self._to_do: Final[Counter[str]] = Counter()
        for source, size in self._sizes.items():
            self._to_do[_kind(source)] += size
        self._done: Final[Counter[str]] = Counter()
        self._seconds: Final[dict[str, float]] = {}
        self._current: Path | None = None
        self._started = self._share = 0.0

    def begin(self, source: Path) -> None:
        """A picture is begun."""
        self._current, self._started, self._share = source, self._clock(), 0.0

    def advance(self, share: float) -> None:
        """So much of it, from 0 to 1, is done."""
        self._share = share

    def end(self, *, restored: bool) -> None:
        """It is done with; whether it was really restored."""
        if self._current is None:
            return
        kind, size = _kind(self._current), self._sizes[self._current]
        self._to_do[kind] -= size
        if restored:
            self._done[kind] += size
            self._seconds[kind] = self._seconds.get(kind, 0.0) + self._clock() - self._started
        self._current = None

    def seconds(self) -> float | None:
        """From now to the end of the job; None as long as nothing shows how fast it goes."""
        done, seconds, left = Counter(self._done), dict(self._seconds), Counter(self._to_do)
        if self._current is not None and self._share > 0:
            kind, part = _kind(self._current), self._share * self._sizes[self._current]
            done[kind] += round(part)
            left[kind] -= round(part)
            seconds[kind] = seconds.get(kind, 0.0) + self._clock() - self._started
        if not done.total():
            return None
        overall = sum(seconds.values()) / done.total()
        return sum(
            size * (seconds[kind] / done[kind] if done[kind] else overall) for kind, size in left.items()
        )


def in_words(seconds: float | None) -> str:
    """About how long, no finer than it is known; empty for None."""
    if seconds is None:
        return ""
    if seconds < 10:
        return "a few seconds left"
    if seconds < 55:
        return f"about {max(10, round(seconds, -1)):.0f} s left"
    minutes = max(1, round(seconds / 60))
    if minutes < 90:
        return f"about {minutes} min left"
    return (
        f"about {minutes / 60:.0f} h left" if minutes < 48 * 60 else f"about {minutes / 1440:.0f} days left"
    )


def _kind(source: Path) -> str:
    return source.suffix.lower()


def _size(source: Path) -> int:
    try:
        return os.path.getsize(source)
    except OSError:  # it will fail, and quickly
        return 0
