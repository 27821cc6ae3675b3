"""What the guard does: how often it steps in, on clean pictures and on degraded ones, and what it gains or costs.

Every picture is restored without it and under several limits, by one network, each tile once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anyir.data.layouts import Example
from anyir.evaluation.metrics import psnr
from anyir.evaluation.protocol import Protocol, degraded_and_clean
from anyir.evaluation.run import Found
from anyir.evaluation.sets import EvaluationSet
from anyir.evaluation.tables import aligned
from anyir.inference import Engine, Restorer
from anyir.inference.guard import Limits
from anyir.inference.tiles import TileSize

CAP: Final = 60.0
"""dB. A picture that comes back as it was would have infinitely many, and the mean with it."""

STEPPED_IN: Final = 0.01
"""Share of a picture whose tones must be corrected for the guard to have stepped in."""

FELT: Final = 0.1
"""dB that a picture must have gained or lost by the guard to be counted as better or worse."""


class Pair(NamedTuple):
    """A picture: (H, W, 3) float32 RGB in [0, 1], twice."""

    name: str
    degraded: NDArray[np.float32]
    clean: NDArray[np.float32]


class Pictures(NamedTuple):
    """Pictures to be restored alike: whole where the default has it so, or in tiles of a side given."""

    name: str
    title: str
    pairs: Iterator[Pair]
    tile: TileSize = "auto"


@dataclass(frozen=True)
class PictureStudy:
    """One picture; PSNR in dB, at most :data:`CAP`.

    Attributes:
        name: of the picture.
        degraded: as it was.
        bare: restored without the guard.
        guarded: restored with it, by limits.
        held_back: the share of the picture in which tones were corrected, by limits.
    """

    name: str
    degraded: float
    bare: float
    guarded: tuple[float, ...]
    held_back: tuple[float, ...]


@dataclass(frozen=True)
class SetStudy:
    """The pictures of a set."""

    name: str
    title: str
    pictures: tuple[PictureStudy, ...]

    @property
    def bare(self) -> float:
        """Mean PSNR without the guard."""
        return fmean(each.bare for each in self.pictures)

    def guarded(self, place: int) -> float:
        """Mean PSNR under the limits at this place."""
        return fmean(each.guarded[place] for each in self.pictures)

    def stepped_in(self, place: int) -> int:
        """Pictures in which tones were corrected."""
        return sum(each.held_back[place] >= STEPPED_IN for each in self.pictures)

    def differences(self, place: int) -> list[float]:
        """What each picture gained by the guard, dB; below zero what it lost."""
        return [each.guarded[place] - each.bare for each in self.pictures]

    def worst(self, place: int | None) -> float:
        """The largest loss against the degraded picture, or the smallest gain: dB; without the guard for None."""
        restored = (each.bare if place is None else each.guarded[place] for each in self.pictures)
        return min(after - each.degraded for after, each in zip(restored, self.pictures, strict=True))


class Remembering:
    """An engine that runs each batch once: what it has seen, it knows. ``forget`` makes room."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known: dict[bytes, NDArray[np.float32]] = {}

    @property
    def provider(self) -> str:
        """What really runs the network."""
        return self._engine.provider

    def __call__(self, batch: NDArray[np.float32], /) -> NDArray[np.float32]:
        """As the engine's; the result is the caller's to change."""
        key = hashlib.sha256(f"{batch.shape}".encode() + batch.tobytes()).digest()
        if key not in self._known:
            self._known[key] = self._engine(batch)
        return self._known[key].copy()

    def forget(self) -> None:
        """Forget everything."""
        self._known.clear()


def study_guard(
    sets: Iterable[Pictures],
    engine: Engine,
    limits: Sequence[Limits],
    on_set: Callable[[str], None] | None = None,
) -> tuple[SetStudy, ...]:
    """Restore every picture without the guard and under each of the limits.

    Args:
        sets: the pictures.
        engine: what restores.
        limits: to be compared.
        on_set: called with a set's title before it is done.

    Raises:
        DataError, PictureError: as the pictures'.
    """
    remembering = Remembering(engine)
    studies: list[SetStudy] = []
    for each in sets:
        if on_set is not None:
            on_set(each.title)
        bare = Restorer(guard=False, tile=each.tile, engine=remembering)
        guarded = [Restorer(guard=every, tile=each.tile, engine=remembering) for every in limits]
        pictures: list[PictureStudy] = []
        for pair in each.pairs:
            pictures.append(_study(pair, bare, guarded))
            remembering.forget()
        studies.append(SetStudy(each.name, each.title, tuple(pictures)))
    return tuple(studies)


def evaluated_pictures(found: Found) -> Iterator[Pictures]:
    """The test sets that were found, by the protocol of every evaluation."""
    for evaluated, examples in found.sets:
        yield Pictures(evaluated.name, evaluated.title, _pairs(evaluated, examples))


def markdown(studies: Sequence[SetStudy], limits: Sequence[Limits], about: Mapping[str, str]) -> str:
    """Tables of sets and limits, and how they were made: with one pair of limits in detail, with several in brief."""
    table = _detailed(studies) if len(limits) == 1 else _compared(studies, limits)
    text = _DETAILED if len(limits) == 1 else _COMPARED
    lines = [
        "# The guard",
        "",
        text,
        "",
        *aligned(table),
        "",
        *(f"- {key}: {value}" for key, value in about.items()),
    ]
    return "\n".join(lines) + "\n"


def to_json(studies: Sequence[SetStudy], limits: Sequence[Limits], about: Mapping[str, str]) -> str:
    """Every picture, for programs."""
    content: dict[str, Any] = {
        **about,
        "limits": [asdict(each) for each in limits],
        "sets": [asdict(each) for each in studies],
    }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


_DETAILED: Final = (
    "PSNR in dB, means over pictures, each capped at 60. Stepped in: pictures of which at least a hundredth was "
    "corrected. Better and worse: pictures that gained or lost at least 0.1 dB by it. Worst: the smallest gain over "
    "the degraded picture without and with the guard; for clean pictures, what the worst has lost from the cap."
)
_COMPARED: Final = (
    "Mean PSNR in dB, each picture's capped at 60, on pictures that were held out of training: without the guard, and "
    "what it gains (+) or loses (−) under several limits, which are differences in mean grey, of 1, from which on it "
    "corrects in part and in full; in tiles, half of them, or a quarter. The mean is over the tasks."
)


def _pairs(evaluated: EvaluationSet, examples: Sequence[Example]) -> Iterator[Pair]:
    for example in examples:
        yield Pair(example.name, *degraded_and_clean(example, evaluated, Protocol()))


def _study(pair: Pair, bare: Restorer, guarded: Sequence[Restorer]) -> PictureStudy:
    shares: list[float] = []
    scores = [_score(bare(pair.degraded), pair.clean)]
    for restorer in guarded:
        held_back: list[float] = []
        scores.append(_score(restorer(pair.degraded, on_guard=held_back.append), pair.clean))
        shares.append(held_back[0] if held_back else 0.0)
    degraded = _score(pair.degraded, pair.clean)
    return PictureStudy(pair.name, degraded, scores[0], tuple(scores[1:]), tuple(shares))


def _score(image: NDArray[np.float32], clean: NDArray[np.float32]) -> float:
    return min(psnr(image, clean), CAP)


def _detailed(studies: Sequence[SetStudy]) -> list[list[str]]:
    heading = [
        "set",
        "pictures",
        "stepped in",
        "without",
        "with",
        "better",
        "worse",
        "worst without",
        "worst with",
    ]
    rows = [heading]
    for each in studies:
        differences = each.differences(0)
        rows.append(
            [
                each.title,
                str(len(each.pictures)),
                str(each.stepped_in(0)),
                f"{each.bare:.2f}",
                f"{each.guarded(0):.2f}",
                str(sum(difference >= FELT for difference in differences)),
                str(sum(difference <= -FELT for difference in differences)),
                _signed(each.worst(None)),
                _signed(each.worst(0)),
            ]
        )
    return rows


def _compared(studies: Sequence[SetStudy], limits: Sequence[Limits]) -> list[list[str]]:
    rows = [["task", "pictures", "without", *map(_titled, limits)]]
    gained = [[each.guarded(place) - each.bare for each in studies] for place in range(len(limits))]
    for number, each in enumerate(studies):
        cells = (_signed(by_set[number]) for by_set in gained)
        rows.append([each.title, str(len(each.pictures)), f"{each.bare:.2f}", *cells])
    mean = f"{fmean(each.bare for each in studies):.2f}"
    return [*rows, ["mean", "", mean, *(f"{fmean(each):+.3f}".replace("-", "−") for each in gained)]]


def _titled(limits: Limits) -> str:
    title = f"{limits.doubt:g} to {limits.disbelief:g}"
    default = Limits()
    if (limits.unconfirmed, limits.confirmed) == (default.unconfirmed, default.confirmed):
        return title
    if limits.unconfirmed >= 1:
        return f"{title}, never followed"
    if limits.confirmed <= 0:
        return f"{title}, always followed"
    return f"{title}, followed from {limits.unconfirmed:g} to {limits.confirmed:g}"


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")
