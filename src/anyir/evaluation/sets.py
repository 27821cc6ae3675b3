"""The test sets and suites, as tables, and finding a set's pictures in a folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from anyir.errors import DataError, UsageError
from anyir.picture import SUFFIXES

TaskName = Literal["denoise", "derain", "dehaze", "deblur", "lowlight", "clean"]


@dataclass(frozen=True)
class Pair:
    """One picture of a test set.

    Attributes:
        name: the degraded file's stem (with its folder's name before it where a set has several folders);
            unique in the set. Noise is seeded with it.
        clean: the reference.
        degraded: what is to be restored; None where it is made from ``clean``.
    """

    name: str
    clean: Path
    degraded: Path | None


def same_stem(stem: str) -> str:
    """The clean picture has the degraded one's stem."""
    return stem


def scene(stem: str) -> str:
    """The clean picture has the scene's name, RESIDE's way: ``1400_2`` and ``1400_0.8_0.2`` → ``1400``."""
    return stem.split("_", maxsplit=1)[0]


def no_rain(stem: str) -> str:
    """The original Rain100L names: ``rain-001`` → ``norain-001``."""
    return f"no{stem}"


@dataclass(frozen=True)
class Layout:
    """One way in which a set lies on disk.

    Attributes:
        folder: below the test folder; a glob pattern where a set has one folder for each scene.
        clean: sub-folder of ``folder`` with the references; "" is ``folder`` itself.
        degraded: sub-folder with the degraded pictures; None where they are made from the clean ones.
        partner: stem of a degraded picture → stem of its clean one.
    """

    folder: str
    clean: str = ""
    degraded: str | None = None
    partner: Callable[[str], str] = same_stem

    def __str__(self) -> str:
        """As a user would type it: ``Rain100L/{input,target}``."""
        return f"{self.folder}/{{{self.degraded},{self.clean}}}" if self.degraded else self.folder


@dataclass(frozen=True)
class EvaluationSet:
    """One row of a results table.

    Attributes:
        name: what the user types and results files use as key.
        title: what tables print.
        task: the degradation that the set is about; "clean" feeds clean pictures and expects them back.
        layouts: where to look, in this order; the first complete one is taken.
        expected: how many pictures the set has.
        official: the pictures are the published test set, so that numbers compare with the papers'.
        sigma_255: standard deviation of the noise to add, in 8-bit grey levels; None where none is added.
    """

    name: str
    title: str
    task: TaskName
    layouts: tuple[Layout, ...]
    expected: int
    official: bool
    sigma_255: float | None = None


_CBSD68: Final = (
    Layout("CBSD68/original_png"),
    Layout("CBSD68/original"),
    Layout("CBSD68"),
    Layout("denoise/bsd68"),
)


def _cbsd68(sigma_255: int) -> EvaluationSet:
    return EvaluationSet(
        f"cbsd68-{sigma_255}", f"CBSD68 σ = {sigma_255}", "denoise", _CBSD68, 68, True, float(sigma_255)
    )


_ALL: Final = (
    _cbsd68(15),
    _cbsd68(25),
    _cbsd68(50),
    EvaluationSet(
        name="polyu-partial",
        title="PolyU, real noise (part)",
        task="denoise",
        layouts=(Layout("PolyU_partial", "clean", "noisy"),),
        expected=20,
        official=False,
    ),
    EvaluationSet(
        name="rain100l",
        title="Rain100L",
        task="derain",
        layouts=(
            Layout("Rain100L", "target", "input"),
            Layout("derain/Rain100L", "target", "input"),
            Layout("Rain100L", "norain", "rain", no_rain),
        ),
        expected=100,
        official=True,
    ),
    EvaluationSet(
        name="sots-outdoor",
        title="SOTS-outdoor",
        task="dehaze",
        layouts=(
            Layout("SOTS_outdoor", "clear", "hazy", scene),
            Layout("SOTS/outdoor", "gt", "hazy", scene),
            Layout("SOTS/outdoor", "clear", "hazy", scene),
            Layout("dehaze", "target", "input", scene),
        ),
        expected=500,
        official=True,
    ),
    EvaluationSet(
        name="sots-outdoor-two",
        title="SOTS-outdoor (two pictures)",
        task="dehaze",
        layouts=(Layout("SOTS_outdoor_two", "clear", "hazy", scene),),
        expected=2,
        official=False,
    ),
    EvaluationSet(
        name="sots-indoor-partial",
        title="SOTS-indoor (part)",
        task="dehaze",
        layouts=(Layout("SOTS_indoor_partial", "clear", "hazy", scene),),
        expected=20,
        official=False,
    ),
    EvaluationSet(
        name="haze-partial",
        title="RESIDE haze (sample)",
        task="dehaze",
        layouts=(Layout("haze_partial", "clear", "hazy"),),
        expected=10,
        official=False,
    ),
    EvaluationSet(
        name="gopro",
        title="GoPro",
        task="deblur",
        layouts=(
            Layout("GoPro", "target", "input"),
            Layout("GoPro/test", "target", "input"),
            Layout("GoPro/test/*", "sharp", "blur"),
            Layout("GOPRO_Large/test/*", "sharp", "blur"),
        ),
        expected=1111,
        official=True,
    ),
    EvaluationSet(
        name="blur-partial",
        title="Averaged frames (unofficial)",
        task="deblur",
        layouts=(Layout("blur_partial", "sharp", "blurred"),),
        expected=6,
        official=False,
    ),
    EvaluationSet(
        name="lolv1",
        title="LOL-v1 eval15",
        task="lowlight",
        layouts=(
            Layout("LOLv1/eval15", "high", "low"),
            Layout("LOLdataset/eval15", "high", "low"),
            Layout("eval15", "high", "low"),
        ),
        expected=15,
        official=True,
    ),
    EvaluationSet(
        name="clean",
        title="Clean CBSD68, do no harm",
        task="clean",
        layouts=_CBSD68,
        expected=68,
        official=True,
    ),
)

SETS: Final[Mapping[str, EvaluationSet]] = {each.name: each for each in _ALL}
"""Every set, by name, in the order of tables."""


def _of_tasks(*tasks: TaskName) -> tuple[str, ...]:
    return tuple(each.name for each in _ALL if each.task in tasks)


SUITES: Final[Mapping[str, tuple[str, ...]]] = {
    # The columns of the paper's Tables 1 and 2, and what can stand in for those that are hard to come by.
    "three": ("cbsd68-15", "cbsd68-25", "cbsd68-50", *_of_tasks("derain", "dehaze")),
    "five": ("cbsd68-25", *_of_tasks("derain", "dehaze", "deblur", "lowlight")),
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


def sets_folder(data: Path) -> Path:
    """``data/test`` where there is one, else ``data`` itself.

    Raises:
        DataError: ``data`` is not a folder.
    """
    if not data.is_dir():
        raise DataError(f"{data} is not a folder; --data takes the folder that holds the test sets")
    return data / "test" if (data / "test").is_dir() else data


def find_pairs(folder: Path, wanted: EvaluationSet) -> tuple[Pair, ...] | None:
    """The pictures of a set below ``folder``, sorted by name; None where no layout of it is there.

    Raises:
        DataError: a folder of the set has no pictures, a degraded picture has no clean partner or several,
            or two pictures share a name. The message names the file.
    """
    for layout in wanted.layouts:
        roots = [
            root
            for root in sorted(folder.glob(layout.folder))
            if all((root / part).is_dir() for part in (layout.clean, layout.degraded or ""))
        ]
        if roots:
            return tuple(pair for root in roots for pair in _pairs(root, layout))
    return None


def _pairs(root: Path, layout: Layout) -> list[Pair]:
    prefix = f"{root.name}/" if "*" in layout.folder else ""
    clean = _pictures(root / layout.clean)
    if layout.degraded is None:
        return [Pair(prefix + stem, path, None) for stem, path in clean.items()]
    pairs: list[Pair] = []
    for stem, path in _pictures(root / layout.degraded).items():
        partner = layout.partner(stem)
        if partner not in clean:
            where = root / layout.clean
            raise DataError(f"{path} has no clean partner: no picture named {partner!r} in {where}")
        pairs.append(Pair(prefix + stem, clean[partner], path))
    return pairs


def _pictures(folder: Path) -> dict[str, Path]:
    """The pictures in ``folder`` by stem, sorted; other files, hidden ones and sub-folders are left out."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir(), key=lambda path: (path.stem, path.name)):
        if path.suffix.lower() not in SUFFIXES or path.name.startswith(".") or not path.is_file():
            continue
        if path.stem in found:
            raise DataError(f"{folder} has both {found[path.stem].name} and {path.name}; remove one of them")
        found[path.stem] = path
    if not found:
        raise DataError(f"{folder} holds no pictures; a test set of anyir was expected there")
    return found
