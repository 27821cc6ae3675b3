"""Full picture or tiles? What PSNR and work a tile costs against the whole picture at once.

The network's attention is taken over all that it sees, so a tile is restored differently from the same pixels within
the whole picture; and the smaller the tile, the more of it is overlap, computed twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Final

import numpy as np
from numpy.typing import NDArray

from anyir.evaluation.protocol import Protocol, Restore, evaluate_set
from anyir.evaluation.results import ImageResult
from anyir.evaluation.run import Found
from anyir.evaluation.tables import aligned
from anyir.inference.tiles import plan_tiles

WHOLE: Final = 1 << 20
"""A tile larger than any picture."""


@dataclass(frozen=True, order=True)
class Tiling:
    """How pictures are cut: the longest side of a tile and what neighbours share, in pixels."""

    tile: int
    overlap: int

    def cuts(self, height: int, width: int) -> bool:
        """Whether a picture of this size is restored in more than one piece."""
        return plan_tiles(height, width, self.tile, self.overlap).count > 1


@dataclass(frozen=True)
class SetStudy:
    """One set under several tilings.

    Attributes:
        name: of the set.
        title: of the set.
        whole_psnr: mean over its pictures, each restored whole, dB.
        pictures: how many.
        loss: tiling → mean PSNR lost against the whole picture, dB, over the pictures that it cuts; None where it cuts
            none.
        cut: tiling → how many it cuts.
    """

    name: str
    title: str
    whole_psnr: float
    pictures: int
    loss: Mapping[Tiling, float | None]
    cut: Mapping[Tiling, int]


def study_tiles(
    found: Found,
    restorer: Callable[[Tiling], Restore],
    tilings: Sequence[Tiling],
    *,
    pictures: int | None = None,
    on_set: Callable[[str, Tiling | None], None] | None = None,
) -> tuple[SetStudy, ...]:
    """Restore the pictures of sets whole and under each tiling; those that a tiling does not cut are not done again.

    Args:
        found: the sets.
        restorer: from a tiling to what restores with it.
        tilings: to be compared.
        pictures: of each set, the first so many; None for all.
        on_set: called with a set's title and a tiling (None: whole) before they are done.

    Raises:
        DataError, PictureError: as :func:`anyir.evaluation.protocol.evaluate_set`.
    """
    studies: list[SetStudy] = []
    for evaluated, every in found.sets:
        pairs = every[:pictures]
        if on_set is not None:
            on_set(evaluated.title, None)
        whole = evaluate_set(pairs, evaluated, restorer(Tiling(WHOLE, 0)), Protocol()).images
        loss: dict[Tiling, float | None] = {}
        cut: dict[Tiling, int] = {}
        for tiling in tilings:
            places = [n for n, image in enumerate(whole) if tiling.cuts(image.height, image.width)]
            cut[tiling], loss[tiling] = len(places), None
            if places:
                if on_set is not None:
                    on_set(evaluated.title, tiling)
                chosen = [pairs[n] for n in places]
                tiled = evaluate_set(chosen, evaluated, restorer(tiling), Protocol()).images
                loss[tiling] = _mean_loss([whole[n] for n in places], tiled)
        mean = fmean(image.restored.psnr for image in whole)
        studies.append(SetStudy(evaluated.name, evaluated.title, mean, len(pairs), loss, cut))
    return tuple(studies)


def overhead(tiling: Tiling, height: int, width: int) -> float:
    """Pixels that the network sees over pixels of the picture: 1.5 is half as much work again."""
    plan = plan_tiles(height, width, tiling.tile, tiling.overlap)
    return plan.count * plan.rows.size * plan.columns.size / (height * width)


def markdown(studies: Sequence[SetStudy], tilings: Sequence[Tiling], about: Mapping[str, str]) -> str:
    """A document: a row for each set, a column for each tiling, and how it was made."""
    rows: list[tuple[str, ...]] = [
        ("set", "pictures", "whole", *(f"{each.tile} / {each.overlap}" for each in tilings))
    ]
    for study in studies:
        cells = (_cell(study, tiling) for tiling in tilings)
        rows.append((study.title, f"{study.pictures}", f"{study.whole_psnr:.2f}", *cells))
    work = (f"× {overhead(each, *_LARGE):.2f}" for each in tilings)
    rows.append(("work on 4000×3000", "", "", *work))
    lines = [
        "# Whole picture or tiles",
        "",
        "PSNR in dB of pictures restored whole, and what is gained (+) or lost (−) when they are cut into tiles of at "
        "most so many pixels with at least so much overlap, over the pictures that are cut at all (their number in "
        "parentheses, where not all). The last row: pixels that the network sees over pixels of a large picture.",
        "",
        *aligned(rows),
        "",
        *(f"- {key}: {value}" for key, value in about.items()),
    ]
    return "\n".join(lines) + "\n"


def to_json(studies: Sequence[SetStudy], about: Mapping[str, str]) -> str:
    """The numbers, for programs."""
    content = [
        {
            "name": study.name,
            "title": study.title,
            "whole_psnr": study.whole_psnr,
            "pictures": study.pictures,
            "tilings": [
                {**asdict(tiling), "loss_db": lost, "cut": study.cut[tiling]}
                for tiling, lost in study.loss.items()
            ],
        }
        for study in studies
    ]
    return json.dumps({**about, "sets": content}, indent=1, ensure_ascii=False) + "\n"


_LARGE: Final = (3000, 4000)


def _mean_loss(whole: Sequence[ImageResult], tiled: Sequence[ImageResult]) -> float:
    differences: NDArray[np.float64] = np.array(
        [before.restored.psnr - after.restored.psnr for before, after in zip(whole, tiled, strict=True)]
    )
    return float(differences.mean())


def _cell(study: SetStudy, tiling: Tiling) -> str:
    lost = study.loss[tiling]
    if lost is None:
        return "–"
    some = f" ({study.cut[tiling]})" if study.cut[tiling] < study.pictures else ""
    return f"{-lost:+.2f}{some}".replace("-", "−")
