"""How bright dark pictures come out, at several brightnesses that they may have: on pairs held out of training.

    python tools/exposure_study.py OLD.safetensors NEW.safetensors --data DIR [--gains 0.6 1 1.6 2.5] [-o FILE.json]

The same dark picture a little brighter should come back as bright as before. Pictures are restored whole, without the
guard.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from anyir.data.catalogue import held_out
from anyir.data.layouts import examples_of, looked_for
from anyir.data.sets import SETS
from anyir.errors import AnyirError, DataError, OutputError
from anyir.evaluation.exposure_study import markdown, study_exposures, to_json
from anyir.evaluation.results import library_versions
from anyir.files import sha256_of, write_atomically
from anyir.model.checkpoint import build_network, load_checkpoint
from anyir.model.network import AnyIR
from anyir.training.objective import on_device
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
    examples = examples_of(arguments.data, SETS[DARK])
    if not examples:
        raise DataError(
            f"{arguments.data}: the set {DARK!r} is not there; looked for {looked_for(SETS[DARK])}"
        )
    kept = held_out((each.clean for each in examples), recipe.validation.hold_out_every)
    pairs = [
        each for each in examples if each.clean in kept and each.scene not in recipe.leave_out.get(DARK, ())
    ]
    if not pairs:
        raise DataError(
            f"{arguments.data}: none of its {len(examples)} dark pictures is held out; it takes six"
        )
    if arguments.output is not None and not arguments.output.parent.is_dir():
        raise OutputError(f"{arguments.output.parent}: no such folder; make it, or name another with -o")
    checkpoints = {each.as_posix(): load_checkpoint(each) for each in arguments.checkpoints}
    digests = {each.as_posix(): sha256_of(each) for each in arguments.checkpoints}
    studies = {}
    for name, checkpoint in checkpoints.items():
        network = on_device(build_network(checkpoint), torch.device("cpu")).eval()
        studies[name] = study_exposures(pairs, lambda image, n=network: restored(n, image), arguments.gains)
        sys.stderr.write(f"{name}: {len(pairs)} pictures\n")
    sys.stdout.write(markdown(studies))
    if arguments.output is not None:
        about = {"command": f"python {shlex.join(sys.argv)}", "sha256": digests, **library_versions()}
        content = json.dumps(to_json(studies, about), indent=1, allow_nan=False)
        write_atomically(arguments.output, f"{content}\n".encode())


@torch.no_grad()
def restored(network: AnyIR, image: NDArray[np.float32]) -> NDArray[np.float32]:
    """One (H, W, 3) image in [0, 1], its sides multiples of 8."""
    batch = torch.from_numpy(image.transpose(2, 0, 1)[None].copy()).to(memory_format=torch.channels_last)
    return network(batch)[0].permute(1, 2, 0).numpy()


def _gain(text: str) -> float:
    number = float(text)
    if not 0 < number < 100:
        raise argparse.ArgumentTypeError("must be above 0 and below 100")
    return number


if __name__ == "__main__":
    main()
