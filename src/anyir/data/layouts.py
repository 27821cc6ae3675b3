"""How a data set lies on disk: finding its pictures, and each degraded picture's clean one.

What is found is the same for training, for evaluation and for ``anyir data check``; they differ in what they make of
what is missing. :func:`scan` reports it, :func:`examples_of` refuses it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from anyir.errors import DataError
from anyir.picture import DATA_SUFFIXES

Use = Literal["train", "test"]
Partner = Callable[[str], str]
"""From a degraded picture's stem to its clean one's."""


def same_stem(stem: str) -> str:
    """The clean picture has the degraded one's stem."""
    return stem


def scene(stem: str) -> str:
    """The clean picture has the scene's name: ``1400_2``, ``0001_0.8_0.2`` and ``s01_rain-004`` → the first part."""
    return stem.split("_", maxsplit=1)[0]


def no_rain(stem: str) -> str:
    """The clean picture is called so: ``rain-001`` → ``norain-001``."""
    return f"no{stem}"


def norain_times(stem: str) -> str:
    """The original names of RainTrainL and Rain100L: ``norain-12x2`` (rainy) → ``norain-12``."""
    return re.sub(r"x\d+$", "", stem)


@dataclass(frozen=True)
class Layout:
    """One way in which a set lies on disk.

    Attributes:
        folder: below the data folder (or its ``train`` or ``test``); a glob pattern where a set has one folder for
            each scene; "" is the data folder itself.
        clean: sub-folder of ``folder`` with the clean pictures; "" is ``folder`` itself.
        degraded: sub-folder with the degraded pictures; None where degradations are made from the clean ones.
        partner: from a degraded picture's stem to its clean one's.
        files: glob pattern of the names that belong to the set, where its folder holds others too: of the degraded
            pictures, or of the clean ones where there are no degraded ones.
        deep: the degraded pictures lie in sub-folders of ``degraded``.
        labels: sub-folder with label maps of the clean pictures' names.
        below_use: training and test pictures lie alike: it counts only in a folder called ``train`` or ``test``.
    """

    folder: str
    clean: str = ""
    degraded: str | None = None
    partner: Partner = same_stem
    files: str = "*"
    deep: bool = False
    labels: str | None = None
    below_use: bool = False

    def __str__(self) -> str:
        """As a user would type it: ``Rain100L/{input,target}``, and which files where not all."""
        parts = [part for part in (self.degraded, self.clean, self.labels) if part]
        inner = f"{{{','.join(parts)}}}" if len(parts) > 1 else "".join(parts)
        where = "/".join(part for part in (self.folder, inner) if part) or "."
        return where if self.files == "*" else f"{where} ({self.files})"


@dataclass(frozen=True)
class DataSet:
    """One row of the catalogue (:data:`anyir.data.sets.SETS`).

    Attributes:
        name: key of the set.
        title: what tables print.
        use: whether its pictures are for training or for testing.
        layouts: where to look, in this order; the first that is there is taken.
        expected: examples that the whole set has: degraded pictures, or clean ones where there are no others; None
            where the set is the user's own.
        terms: what its publishers allow, in a few words.
        official: the pictures are a published set or part of one, not a collection of this project.
        depth: from a label map to depth (uint8, 255 farthest).
    """

    name: str
    title: str
    use: Use
    layouts: tuple[Layout, ...]
    expected: int | None
    terms: str
    official: bool = True
    depth: Callable[[NDArray[np.uint8]], NDArray[np.uint8]] | None = None


@dataclass(frozen=True)
class Example:
    """One picture of a set.

    Attributes:
        name: the degraded picture's stem, with its folder's name before it where a set has several folders; unique
            in the set. Where there is no degraded picture, the clean one's.
        scene: the clean picture's stem, likewise; what ``leave_out`` in a recipe names.
        clean: the clean picture.
        degraded: the degraded one; None where degradations are made.
        labels: the label map; None where the set has none.
    """

    name: str
    scene: str
    clean: Path
    degraded: Path | None
    labels: Path | None = None


@dataclass(frozen=True)
class Found:
    """What there is of a set on disk.

    Attributes:
        dataset: the set.
        layout: the layout that was found.
        folders: where, each a match of the layout's folder.
        examples: sorted by folder and name.
        alone: degraded pictures without a clean partner, and clean pictures without the label map they should have.
        namesakes: pictures whose stem another in their folder has too: which one is meant, nobody can say.
        empty: folders of the layout without a picture.
        unused: clean pictures of pairs that no degraded picture belongs to. Nothing is wrong with that: many sets have
            some, and nobody misses them.
    """

    dataset: DataSet
    layout: Layout
    folders: tuple[Path, ...]
    examples: tuple[Example, ...]
    alone: tuple[tuple[Path, Path], ...]
    namesakes: tuple[tuple[Path, Path], ...]
    empty: tuple[Path, ...]
    unused: tuple[Path, ...]


def roots(data: Path, use: Use) -> tuple[tuple[Path, bool], ...]:
    """The folders below which sets of this use are looked for: ``data/train`` or ``data/test``, then ``data``.

    Who names the training folder itself has the test sets beside it; training sets are not looked for in a test folder.

    Returns:
        Each with whether it is called for its use.

    Raises:
        DataError: ``data`` is no folder.
    """
    if not data.is_dir():
        raise DataError(f"{data} is not a folder; --data takes the folder that holds the pictures")
    name = data.resolve().name.lower()
    if use == "test" and name == "train":
        data, name = data / "..", ""
    if use == "train" and name == "test":
        return ()
    named = [data / each for each in (use, use.capitalize()) if (data / each).is_dir()]
    return (*((folder, True) for folder in named[:1]), (data, name == use))


def scan(data: Path, dataset: DataSet) -> Found | None:
    """Find a set below a data folder; None where no layout of it is there.

    Raises:
        DataError: ``data`` is no folder.
    """
    for root, called_so in roots(data, dataset.use):
        for layout in dataset.layouts:
            if layout.below_use and not called_so:
                continue
            folders = sorted(root.glob(layout.folder)) if layout.folder else [root]
            if any(_is_there(folder, layout) for folder in folders):
                return _found(dataset, layout, [folder for folder in folders if folder.is_dir()])
    return None


def _is_there(folder: Path, layout: Layout) -> bool:
    parts = (layout.clean, layout.degraded, layout.labels)
    return all((folder / (part or "")).is_dir() for part in parts) and any(
        picture_files(folder / (layout.degraded or layout.clean), layout.files, deep=layout.deep)
    )


def examples_of(data: Path, dataset: DataSet) -> tuple[Example, ...] | None:
    """The examples of a set, sorted by name; None where the set is not there.

    Raises:
        DataError: a picture has no partner, or two share a name. The message names the file.
    """
    found = scan(data, dataset)
    return None if found is None else sound_examples(found)


def sound_examples(found: Found) -> tuple[Example, ...]:
    """The examples of what was found.

    Raises:
        DataError: a picture has no partner, or two share a name, or a folder is empty. The message names the file.
    """
    for first, second in found.namesakes:
        raise DataError(f"{first} and {second} have one name; remove one of them")
    for folder in found.empty:
        raise DataError(f"{folder} holds no pictures; the set {found.dataset.name!r} needs some there")
    for path, missing in found.alone:
        raise DataError(f"{path} has no partner: there is no picture {missing.stem!r} in {missing.parent}")
    return found.examples


def looked_for(dataset: DataSet) -> str:
    """Where a set is looked for, in words: its layouts."""
    return " or ".join(str(layout) for layout in dataset.layouts)


def picture_files(folder: Path, pattern: str = "*", *, deep: bool = False) -> list[Path]:
    """The picture files in a folder, sorted by name; other files and hidden ones are left out."""
    if deep:  # unlike rglob, os.walk follows links to folders, as large sets are often put together
        paths = (Path(top) / name for top, _, names in os.walk(folder, followlinks=True) for name in names)
    else:
        paths = folder.iterdir() if folder.is_dir() else iter(())
    return sorted(
        (
            path
            for path in paths
            if path.suffix.lower() in DATA_SUFFIXES
            and not path.name.startswith(".")
            and fnmatchcase(path.name, pattern)
            and path.is_file()
        ),
        key=lambda path: (path.stem, path.name, path.parent),
    )


def _found(dataset: DataSet, layout: Layout, folders: Sequence[Path]) -> Found:
    examples: list[Example] = []
    alone: list[tuple[Path, Path]] = []
    namesakes: list[tuple[Path, Path]] = []
    empty: list[Path] = []
    unused: list[Path] = []
    for folder in folders:
        prefix = f"{folder.name}/" if "*" in layout.folder else ""
        clean_files = picture_files(
            folder / layout.clean, "*" if layout.degraded is not None else layout.files
        )
        clean, twice = _by_stem(clean_files)
        namesakes += twice
        degraded = clean
        if layout.degraded is not None:
            degraded, twice = _by_stem(
                picture_files(folder / layout.degraded, layout.files, deep=layout.deep)
            )
            namesakes += twice
        if not (clean and degraded):
            if clean or degraded:  # a folder without either is not of the set
                empty.append(folder / (layout.clean if degraded else layout.degraded or ""))
            continue
        if layout.degraded is not None:
            used = {layout.partner(stem) for stem in degraded}
            if (
                layout.clean == layout.degraded
            ):  # all in one folder, where the degraded ones are no clean ones
                used |= degraded.keys()
            unused += [path for stem, path in clean.items() if stem not in used]
        for path in degraded.values():
            partner = path.stem if layout.degraded is None else layout.partner(path.stem)
            if partner not in clean:
                alone.append((path, folder / layout.clean / partner))
                continue
            labels = None if layout.labels is None else folder / layout.labels / f"{partner}.png"
            if labels is not None and not labels.is_file():
                alone.append((clean[partner], labels))
                continue
            pair = None if layout.degraded is None else path
            examples.append(Example(prefix + path.stem, prefix + partner, clean[partner], pair, labels))
    return Found(
        dataset=dataset,
        layout=layout,
        folders=tuple(folders),
        examples=tuple(examples),
        alone=tuple(alone),
        namesakes=tuple(namesakes),
        empty=tuple(empty),
        unused=tuple(unused),
    )


def _by_stem(paths: Iterable[Path]) -> tuple[dict[str, Path], list[tuple[Path, Path]]]:
    """Stem → picture, the first of each stem; and the pairs that share one."""
    found: dict[str, Path] = {}
    twice: list[tuple[Path, Path]] = []
    for path in paths:
        if path.stem in found:
            twice.append((found[path.stem], path))
        else:
            found[path.stem] = path
    return found, twice
