"""Whole pictures or tiles: PSNR of weights on the test sets, whole and cut in many ways, and the work that costs.

    python tools/tile_study.py --data DIR -o results/tiles [--pictures 20]

Writes tiles.json and tiles.md. The default tile of anyir restore follows from them.
"""

from __future__ import annotations

import argparse
import hashlib
import shlex
import sys
from functools import cache
from pathlib import Path

from anyir import Restorer
from anyir.errors import AnyirError
from anyir.evaluation.results import library_versions
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
    parser.add_argument("--pictures", type=_positive, help="of each set, the first so many; all if not given")
    arguments = parser.parse_args()
    try:
        study(arguments)
    except AnyirError as error:
        sys.exit(f"tile_study: {error}")


def study(arguments: argparse.Namespace) -> None:
    """Measure and write.

    Raises:
        AnyirError: for a folder without test sets, weights that cannot be used, or files that cannot be written.
    """
    make_folder(arguments.output)
    weights = resolve(arguments.weights)
    engine = OnnxEngine(weights.path)

    @cache
    def restorer(tiling: Tiling) -> Restorer:
        return Restorer(
            arguments.weights, tile=tiling.tile, overlap=tiling.overlap, guard=False, engine=engine
        )

    def say(title: str, tiling: Tiling | None) -> None:
        how = "whole" if tiling is None else f"{tiling.tile} / {tiling.overlap}"
        sys.stderr.write(f"{title}: {how}\n")

    found = find_sets(arguments.data, select_sets("all", SETS))
    studies = study_tiles(found, restorer, TILINGS, pictures=arguments.pictures, on_set=say)
    about = {
        "command": f"python {shlex.join(sys.argv)}",
        "weights": weights.name,
        "sha256": hashlib.sha256(weights.path.read_bytes()).hexdigest(),
        "provider": engine.provider,
        **library_versions(),
    }
    write_atomically(arguments.output / "tiles.json", to_json(studies, about).encode())
    text = markdown(studies, TILINGS, about)
    write_atomically(arguments.output / "tiles.md", text.encode())
    sys.stdout.write(text)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


if __name__ == "__main__":
    main()
