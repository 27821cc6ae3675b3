"""How bright dark pictures come out, at several brightnesses that they may have: on pairs held out of training.

    python tools/exposure_study.py OLD.safetensors NEW.safetensors --data DIR [--gains 0.6 1 1.6 2.5] [-o FILE.json]

The same dark picture a little brighter should come back as bright as before. Pictures are restored whole, without the
guard.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from anyir import Restorer
from anyir.data.catalogue import split_rows
from anyir.errors import AnyirError, DataError
from anyir.evaluation.exposure_study import markdown, study_exposures, to_json
from anyir.evaluation.results import library_versions
from anyir.evaluation.tile_study import WHOLE
from anyir.files import make_folder, write_atomically
from anyir.model.engine import TorchEngine
from anyir.training.recipe import load_recipe

RECIPE = "anyir-cpu-tones"
"""Whose held-out pictures are taken, of the set below."""

DARK = "lowlight"


def main() -> None:
    """Says what it is at on the error stream; exits with 1 where a file cannot be used."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoints", nargs="+", type=Path, metavar="CHECKPOINT")
    parser.add_argument("--data", required=True, type=Path, help="folder of the training pictures")
    parser.add_argument("--gains", type=_gain, nargs="+", default=[0.6, 1.0, 1.6, 2.5], help="on grey levels")
    parser.add_argument("-o", "--output", type=Path, help="write every picture's figures as JSON")
    arguments = parser.parse_args()
    try:
        study(arguments)
    except AnyirError as error:
        sys.exit(f"exposure_study: {error}")


def study(arguments: argparse.Namespace) -> None:
    """Measure, print and write.

    Raises:
        AnyirError: for a checkpoint or data folder that cannot be used, or a file that cannot be written.
    """
    recipe = load_recipe(RECIPE, ())
    training, pairs = split_rows(DARK, arguments.data, recipe.validation.hold_out_every, recipe.leave_out)
    if not pairs:
        raise DataError(
            f"{arguments.data}: none of its {len(training)} dark pictures is held out; it takes six"
        )
    if arguments.output is not None:
        make_folder(arguments.output.parent)
    engines = {each.as_posix(): TorchEngine(each, "cpu") for each in arguments.checkpoints}
    studies = {}
    for name, engine in engines.items():
        restorer = Restorer(name, tile=WHOLE, guard=False, engine=engine)
        studies[name] = study_exposures(pairs, restorer, arguments.gains)
        sys.stderr.write(f"{name}: {len(pairs)} pictures\n")
    sys.stdout.write(markdown(studies))
    if arguments.output is not None:
        digests = {name: engine.sha256 for name, engine in engines.items()}
        about = {"command": f"python {shlex.join(sys.argv)}", "sha256": digests, **library_versions()}
        write_atomically(arguments.output, to_json(studies, about).encode())


def _gain(text: str) -> float:
    number = float(text)
    if not 0 < number < 100:
        raise argparse.ArgumentTypeError("must be above 0 and below 100")
    return number


if __name__ == "__main__":
    main()
