"""The training pictures: in memory or in their files, held out in part for validation, drawn from in batches.

Which sets there are says :mod:`anyir.data.sets`; how they lie on disk, :mod:`anyir.data.layouts`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal, NamedTuple, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Generator, Tensor

from anyir.data.crops import centre
from anyir.data.files import FileStore
from anyir.data.fingerprint import Fingerprint, fingerprint
from anyir.data.layouts import examples_of, looked_for
from anyir.data.sets import SETS
from anyir.data.store import PictureStore
from anyir.errors import DataError
from anyir.picture import read_image, read_labels

Loading: TypeAlias = Literal["memory", "host", "files"]
"""Whether pictures are read once and held, or read from their files whenever they are drawn."""

HOLD_OUT_FIRST: Final = 5
"""Of each set's clean pictures, sorted by name, this is the first that is kept for validation, with all its pairs."""


class Patches(NamedTuple):
    """A batch of training material, before any degradation is made. N patches of side P.

    Attributes:
        clean: (N, 3, P, P) in [0, 1].
        degraded: (N, 3, P, P); zeros where the source has clean pictures only.
        depth: (N, 1, P, P), 0 near to 1 far; zeros where unknown.
        has_depth: (N,) bool.
        layer: (N, 3, P, P) in [0, 1], light that pairs of other pictures gained when they were degraded; none for a
            task without lenders.
    """

    clean: Tensor
    degraded: Tensor
    depth: Tensor
    has_depth: Tensor
    layer: Tensor | None = None


class Pool(NamedTuple):
    """The pictures that a task draws from.

    Attributes:
        rows: of (clean, degraded, depth) numbers in the stores; −1 for none.
        cumulative_weight: of the rows, rising to 1.
        smallest_side: the smallest height or width among them, in pixels.
        largest_side: of the shorter sides of the pictures, the longest.
    """

    rows: Tensor
    cumulative_weight: Tensor
    smallest_side: int
    largest_side: int


@dataclass(frozen=True)
class Row:
    """One training example on disk: the set it belongs to, its scene's name there, and its files."""

    source: str
    scene: str
    clean: Path
    degraded: Path | None
    labels: Path | None


def _rows_of(name: str, data: Path) -> list[Row]:
    """Examples of one set on disk."""
    examples = examples_of(data, SETS[name])
    if not examples:
        raise DataError(
            f"{data}: the recipe draws on the set {name!r}, which is not there; looked for {looked_for(SETS[name])}"
        )
    return [Row(name, each.scene, each.clean, each.degraded, each.labels) for each in examples]


def held_out(clean: Iterable[Path], every: int) -> set[Path]:
    """The clean pictures of one set that are kept for validation; none where ``every`` is 0."""
    return set(sorted(set(clean))[HOLD_OUT_FIRST::every]) if every else set()


def split_rows(
    name: str,
    data: Path,
    hold_out_every: int,
    leave_out: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
) -> tuple[list[Row], list[Row]]:
    """The examples of one set for training and for validation, as :func:`load_pictures` parts them.

    Raises:
        DataError: the set or a partner is missing.
    """
    rows = _rows_of(name, data)
    kept = held_out((row.clean for row in rows), hold_out_every)  # the same ones, whatever is left out
    used = [row for row in rows if row.scene not in leave_out.get(name, ())]
    return [row for row in used if row.clean not in kept], [row for row in used if row.clean in kept]


class TrainingPictures:
    """All pictures of a split, ready to be drawn from in batches.

    Made by :func:`load_pictures`. Pictures are 8-bit and unscaled; a picture used by several tasks is held once.

    Attributes:
        smallest_side: the smallest height or width in pixels: no patch can be larger. 0 without pictures. Kept on the
            host: to ask the device for it would wait for all work queued there.
        rows: the examples.
        fingerprints: what the clean and degraded pictures look like that have been read, which is all or none.
    """

    def __init__(
        self, rows: list[Row], device: str | torch.device, multiple: int = 1, loading: Loading = "memory"
    ) -> None:
        self.rows = tuple(rows)
        self.fingerprints: dict[Path, Fingerprint] = {}
        clean = sorted({row.clean for row in rows})
        degraded = sorted({row.degraded for row in rows if row.degraded is not None})
        sources = {row.labels: row.source for row in rows if row.labels is not None}
        labels, read_depth = sorted(sources), partial(_read_depth, sources)
        stores: tuple[PictureStore | FileStore, ...]
        if loading == "files":
            colours = [FileStore(paths, read_image, multiple) for paths in (clean, degraded)]
            stores = (*colours, FileStore(labels, read_depth, multiple, channels=1))
        else:
            images = [[self._read(path, multiple) for path in paths] for paths in (clean, degraded)]
            depths = [centre(read_depth(path), multiple) for path in labels]
            colours = [PictureStore(each, device=device) for each in images]
            stores = (*colours, PictureStore(depths, channels=1, device=device))
        self._clean, self._degraded, self._depth = stores
        self._rows = _number(rows, (clean, degraded, labels), [_sizes(each) for each in stores])
        self._sides = [min(size) for size in _sizes(self._clean)]
        self.smallest_side = min(self._sides, default=0)

    def _read(self, path: Path, multiple: int) -> NDArray[np.uint8]:
        image = read_image(path)
        self.fingerprints[path] = fingerprint(image)
        return centre(image, multiple)

    @property
    def device(self) -> torch.device:
        """Where the batches are made: where the pictures are held, and the CPU where they are in their files."""
        return self._clean.device

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the sets that are present."""
        return tuple(self._rows)

    def counts(self) -> dict[str, int]:
        """Examples a set: pairs where it has pairs, else clean pictures."""
        return {source: len(rows) for source, rows in self._rows.items()}

    def check_patch(self, size: int) -> None:
        """See that patches of this side can be cut from every picture.

        Raises:
            DataError: if a picture is smaller.
        """
        if size > self.smallest_side:
            raise DataError(
                f"patches of {size} do not fit {self._smallest()}, whose shortest side is {self.smallest_side}; "
                "take smaller patches (stages.patch), or leave it out (leave_out)"
            )

    def _smallest(self) -> Path:
        sides = dict(zip(sorted({row.clean for row in self.rows}), self._sides, strict=True))
        return min(sides, key=lambda path: (sides[path], path))

    def pool(self, sources: Iterable[str], at_least: int = 1) -> Pool:
        """The examples of some sets together, each drawn in proportion to its picture's pixels.

        Pictures with a side of less than ``at_least`` pixels are left out; there must be others.
        """
        every = [row for source in sources for row in self._rows[source]]
        chosen = [row for row in every if self._sides[row[0]] >= at_least]
        rows = torch.tensor(chosen, device=self.device)
        weight = (self._clean.heights * self._clean.widths)[rows[:, 0]].double()
        sides = [self._sides[clean] for clean, _, _ in chosen]
        return Pool(rows, weight.cumsum(0) / weight.sum(), min(sides), max(sides))

    def draw(
        self,
        pool: Pool,
        n: int,
        size: int,
        generator: Generator,
        *,
        zoom: int = 1,
        rows: Tensor | None = None,
    ) -> Patches:
        """``n`` random patches of side ``size``, each flipped at random along both axes.

        Args:
            pool: the pictures to draw from.
            n: how many patches.
            size: their side.
            generator: on the pictures' device.
            zoom: pictures are scaled down by this factor first (means of ``zoom`` × ``zoom`` pixels, as an 8-bit file
                would keep them), so that a patch shows more of its scene.
            rows: (n,) numbers of the pool's rows, one a patch; drawn at random where there are none.

        Raises:
            DataError: if a picture is smaller than the patch.
        """
        if size * zoom > pool.smallest_side:
            raise DataError(
                f"patches of {size}, of pictures scaled down by {zoom}, do not fit pictures whose shortest side is "
                f"{pool.smallest_side}; take smaller patches (stages.patch), or the small pictures away"
            )
        device, side = self.device, size * zoom

        def uniform() -> Tensor:
            return torch.rand(n, generator=generator, device=device, dtype=torch.float64)

        if rows is None:
            rows = torch.searchsorted(pool.cumulative_weight, uniform()).clamp_max(len(pool.rows) - 1)
        clean, degraded, depth = pool.rows[rows].unbind(1)
        top = (uniform() * (self._clean.heights[clean] - side + 1)).long()
        left = (uniform() * (self._clean.widths[clean] - side + 1)).long()
        images = torch.cat(
            (
                self._clean.crop(clean, top, left, side),
                self._degraded.crop(degraded, top, left, side),
                self._depth.crop(depth, top, left, side),
            ),
            dim=1,
        )
        if zoom > 1:
            images = (F.avg_pool2d(images, zoom) * 255).round() / 255
        for axis in (2, 3):
            flip = torch.rand(n, generator=generator, device=device) < 0.5
            images = torch.where(flip[:, None, None, None], images.flip(axis), images)
        return Patches(images[:, :3], images[:, 3:6], images[:, 6:], depth >= 0)

    def lend(self, pool: Pool, patches: Patches, generator: Generator) -> Patches:
        """The patches, each with the light that a random patch of the pool's pairs gained, as its ``layer``.

        Raises:
            DataError: if a picture of the pool is smaller than the patches.
        """
        n, _, size, _ = patches.clean.shape
        lent = self.draw(pool, n, size, generator)
        return patches._replace(layer=(lent.degraded - lent.clean).clamp_min(0))


def _number(
    rows: Iterable[Row], paths: Sequence[Sequence[Path]], sizes: Sequence[Sequence[tuple[int, int]]]
) -> dict[str, list[tuple[int, int, int]]]:
    """Source → its examples' numbers among the clean pictures, the degraded ones and the labels; −1 for none.

    Raises:
        DataError: an example's pictures differ in size.
    """
    numbers = [{path: number for number, path in enumerate(each)} for each in paths]
    numbered: dict[str, list[tuple[int, int, int]]] = {}
    for row in rows:
        files = (row.clean, row.degraded, row.labels)
        clean, degraded, labels = (-1 if f is None else n[f] for f, n in zip(files, numbers, strict=True))
        size = sizes[0][clean]
        for path, number, others in ((row.degraded, degraded, sizes[1]), (row.labels, labels, sizes[2])):
            if number >= 0 and others[number] != size:
                raise DataError(
                    f"{path}: its size {others[number]} is not that of {row.clean}, {size} (height, width)"
                )
        numbered.setdefault(row.source, []).append((clean, degraded, labels))
    return numbered


def _sizes(store: PictureStore | FileStore) -> list[tuple[int, int]]:
    """(height, width) of every picture, on the host."""
    return list(zip(store.heights.tolist(), store.widths.tolist(), strict=True))


def _read_depth(sources: Mapping[Path, str], labels: Path) -> NDArray[np.uint8]:
    source = sources[labels]
    to_depth = SETS[source].depth
    assert to_depth is not None, f"source {source!r} has labels but no way to read depth from them"
    return to_depth(read_labels(labels))[..., None]


def load_pictures(
    data: Path,
    sources: Iterable[str],
    device: str | torch.device = "cpu",
    *,
    hold_out_every: int = 20,
    crop_multiple: int = 1,
    loading: Loading = "memory",
    leave_out: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
) -> tuple[TrainingPictures, TrainingPictures]:
    """Find the named sets, read them, and part them into training and validation pictures.

    Args:
        data: the data folder, or its ``train``.
        sources: names from :data:`anyir.data.sets.SETS`.
        device: where the pictures are to be held, and the batches made.
        hold_out_every: of each set's clean pictures, sorted by name, one in so many is kept for validation with all
            its pairs, numbers 5, 25, 45, ...; 0 for none.
        crop_multiple: of each picture the centre is taken, its sides cut to multiples of this.
        loading: ``memory`` reads all pictures now and holds them on ``device``, ``host`` on the CPU in any case;
            ``files`` reads their sizes only, and each picture whenever it is drawn, on the CPU. All make the same
            batches where they make them on the CPU.
        leave_out: set → scenes (clean pictures' names without suffix) that are not to be used, clean or degraded.
            Names that a set does not have are fine: it may be there in part.

    Returns:
        Training and validation pictures. A set with fewer than six clean pictures has no validation share, and if
        all are so small there are no validation pictures.

    Raises:
        DataError: a set or a partner is missing, or sizes differ; the message names the file.
        PictureError: a file is damaged; the message names it. With ``files``, only its header is looked at.
    """
    held_on = "cpu" if loading == "host" else device
    training: list[Row] = []
    validation: list[Row] = []
    for name in sources:
        for chosen, rows in zip(
            (training, validation), split_rows(name, data, hold_out_every, leave_out), strict=True
        ):
            chosen += rows
    return (
        TrainingPictures(training, held_on, crop_multiple, loading),
        TrainingPictures(validation, held_on, crop_multiple, loading),
    )
