"""The test sets as rows of results tables, and the suites that they make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from anyir.data.layouts import DataSet, Example, examples_of, looked_for
from anyir.data.sets import SETS as DATA_SETS
from anyir.errors import UsageError

TaskName = Literal["denoise", "derain", "dehaze", "deblur", "lowlight", "deblock", "clean"]


@dataclass(frozen=True)
class EvaluationSet:
    """One row of a results table.

    Attributes:
        name: what the user types and results files use as key.
        title: what tables print.
        task: the degradation that the set is about; "deblock" is JPEG's, "clean" feeds clean pictures and expects
            them back.
        pictures: the data set that it takes its pictures from.
        sigma_255: standard deviation of the noise to add, in 8-bit grey levels; None where none is added.
        black_and_white: whether the pictures, of a pair both, are made so first; noise that is added is then one for
            the three channels.
        jpeg_quality: of the JPEG files that the clean pictures are made into; None where they are not.
    """

    name: str
    title: str
    task: TaskName
    pictures: DataSet
    sigma_255: float | None = None
    black_and_white: bool = False
    jpeg_quality: int | None = None

    @property
    def expected(self) -> int:
        """How many pictures the set has."""
        assert self.pictures.expected is not None, "test sets have a known size"
        return self.pictures.expected

    @property
    def official(self) -> bool:
        """Whether the pictures are the published test set, so that numbers compare with the papers'.

        Never in black and white, as the noise of papers is neither clipped nor rounded there; nor as JPEG, of which
        papers take other pictures.
        """
        return self.pictures.official and not self.black_and_white and self.jpeg_quality is None


def _row(name: str, task: TaskName) -> EvaluationSet:
    return EvaluationSet(name, DATA_SETS[name].title, task, DATA_SETS[name])


def _cbsd68(sigma_255: int) -> EvaluationSet:
    return EvaluationSet(
        f"cbsd68-{sigma_255}", f"CBSD68 σ = {sigma_255}", "denoise", DATA_SETS["cbsd68"], float(sigma_255)
    )


_ALL: Final = (
    _cbsd68(15),
    _cbsd68(25),
    _cbsd68(50),
    EvaluationSet(
        "cbsd68-grey-25",
        "CBSD68 in black and white, σ = 25",
        "denoise",
        DATA_SETS["cbsd68"],
        sigma_255=25.0,
        black_and_white=True,
    ),
    _row("polyu-partial", "denoise"),
    _row("rain100l", "derain"),
    _row("sots-outdoor", "dehaze"),
    _row("sots-outdoor-two", "dehaze"),
    _row("sots-indoor-partial", "dehaze"),
    _row("haze-partial", "dehaze"),
    _row("gopro", "deblur"),
    _row("blur-partial", "deblur"),
    _row("lolv1", "lowlight"),
    EvaluationSet(
        "lolv1-grey",
        f"{DATA_SETS['lolv1'].title} in black and white",
        "lowlight",
        DATA_SETS["lolv1"],
        black_and_white=True,
    ),
    EvaluationSet(
        "cbsd68-jpeg-30", "CBSD68 as JPEG, quality 30", "deblock", DATA_SETS["cbsd68"], jpeg_quality=30
    ),
    EvaluationSet("clean", "Clean CBSD68, do no harm", "clean", DATA_SETS["cbsd68"]),
)

SETS: Final[Mapping[str, EvaluationSet]] = {each.name: each for each in _ALL}
"""Every set, by name, in the order of tables."""


def _of_tasks(*tasks: TaskName) -> tuple[str, ...]:
    return tuple(each.name for each in _ALL if each.task in tasks)


SUITES: Final[Mapping[str, tuple[str, ...]]] = {
    # The columns of the paper's Tables 1 and 2, and what can stand in for those that are hard to come by.
    "three": ("cbsd68-15", "cbsd68-25", "cbsd68-50", *_of_tasks("derain", "dehaze")),
    "five": ("cbsd68-25", *_of_tasks("derain", "dehaze", "deblur"), "lolv1"),
    "denoise": _of_tasks("denoise"),
    "derain": _of_tasks("derain"),
    "dehaze": _of_tasks("dehaze"),
    "deblur": _of_tasks("deblur"),
    "lowlight": _of_tasks("lowlight"),
    "all": tuple(SETS),
}
"""Suite → names of its sets."""


def select_sets(suite: str, only: Sequence[str] = ()) -> tuple[EvaluationSet, ...]:
    """The sets of ``suite``; of these ``only`` the named ones, where any is named. Always in table order.

    Raises:
        UsageError: an unknown suite, or a name that is not one of the suite's sets.
    """
    if suite not in SUITES:
        raise UsageError(f"unknown suite {suite!r}; known: {', '.join(SUITES)}")
    names = SUITES[suite]
    for name in only:
        if name not in names:
            raise UsageError(f"suite {suite!r} has no set {name!r}; it has: {', '.join(names)}")
    return tuple(SETS[name] for name in names if not only or name in only)


def find_pairs(data: Path, wanted: EvaluationSet) -> tuple[Example, ...] | None:
    """The pictures of a set below ``data``, sorted by name; None where no layout of it is there.

    Raises:
        DataError: ``data`` is no folder, a folder of the set has no pictures, a degraded picture has no clean
            partner, or two pictures share a name. The message names the file.
    """
    return examples_of(data, wanted.pictures)


def whereabouts(wanted: EvaluationSet) -> str:
    """Where a set is looked for, in words."""
    return looked_for(wanted.pictures)
