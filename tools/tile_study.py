"""Whole pictures or tiles: PSNR of the default weights on the test sets, whole and cut in many ways.

    python tools/tile_study.py --data DIR -o results/tiles [--pictures 20]

Writes tiles.json and tiles.md. The default tile of anyir restore follows from them.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from functools import cache
from pathlib import Path

from anyir import Restorer
from anyir.evaluation.run import find_sets
from anyir.evaluation.sets import select_sets
from anyir.evaluation.tile_study import Tiling, markdown, study_tiles, to_json
from anyir.files import make_folder, write_atomically
from anyir.inference import OnnxEngine, resolve

SETS = (
    "cbsd68-25",
    "polyu-partial",
    "rain100l",
    "sots-indoor-partial",
    "haze-partial",
    "blur-partial",
    "lolv1",
    "clean",
)
TILINGS = (
    *(Tiling(tile, 32) for tile in (128, 192)),
    *(Tiling(256, overlap) for overlap in (16, 32, 64)),
    Tiling(384, 32),
    *(Tiling(512, overlap) for overlap in (16, 32, 64)),
    *(Tiling(tile, 32) for tile in (640, 768)),
)


def main() -> None:
    """Prints what it is at on the error stream."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, type=Path, help="folder of the test sets")
    parser.add_argument("-o", "--output", required=True, type=Path, help="folder for the results")
    parser.add_argument("--weights", default="default")
    parser.add_argument("--pictures", type=int, help="of each set, the first so many; all if not given")
    arguments = parser.parse_args()
    make_folder(arguments.output)
    engine = OnnxEngine(resolve(arguments.weights).path)

    @cache
    def restorer(tiling: Tiling) -> Restorer:
        return Restorer(arguments.weights, tile=tiling.tile, overlap=tiling.overlap, engine=engine)

    def say(title: str, tiling: Tiling | None) -> None:
        print(title, "whole" if tiling is None else f"{tiling.tile} / {tiling.overlap}", file=sys.stderr)

    found = find_sets(arguments.data, select_sets("all", SETS))
    studies = study_tiles(found, restorer, TILINGS, pictures=arguments.pictures, on_set=say)
    command = f"python {shlex.join(sys.argv)}"
    write_atomically(arguments.output / "tiles.json", to_json(studies, command).encode())
    text = markdown(studies, TILINGS, command)
    write_atomically(arguments.output / "tiles.md", text.encode())
    print(text)


if __name__ == "__main__":
    main()
