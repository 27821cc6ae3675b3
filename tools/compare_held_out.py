"""Compare weights on pictures held out of training: what is shipped is chosen by it.

    python tools/compare_held_out.py OLD.safetensors NEW.safetensors --data DIR [--share 0.75 ...] [-o FILE.json]

Prints a table of PSNR by task, a column for each checkpoint. With ``--share`` averages of the first two are compared
too, as tools/average_weights.py makes them. Test pictures are not looked at.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shlex
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from anyir.errors import AnyirError, ConfigurationError, WeightsError
from anyir.evaluation.held_out import Candidate, HeldOut, counted, markdown, to_json
from anyir.evaluation.results import library_versions
from anyir.files import write_atomically
from anyir.model.checkpoint import Checkpoint, load_checkpoint
from anyir.model.network import AnyIR
from anyir.training.averaging import between
from anyir.training.recipe import load_recipe
from anyir.training.sampling import load_split
from anyir.training.validation import Validator

RECIPE = "anyir-s-cpu-pairs"
"""Whose tasks and held-out pictures are taken."""


def main() -> None:
    """Says what it is at on the error stream; exits with 1 where a file cannot be used."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoints", nargs="+", type=Path, metavar="CHECKPOINT")
    parser.add_argument("--data", required=True, type=Path, help="folder of the training pictures")
    parser.add_argument("--share", type=float, nargs="+", default=[], help="of the second checkpoint, 0 to 1")
    parser.add_argument("--samples", type=int, default=32, help="patches a task (32)")
    parser.add_argument("--recipe", default=RECIPE, help=f"whose tasks and pictures are taken ({RECIPE})")
    parser.add_argument("-o", "--output", type=Path, help="write every patch's PSNR as JSON")
    arguments = parser.parse_args()
    if not all(0 <= share <= 1 for share in arguments.share):
        parser.error("--share must be from 0 to 1")
    if arguments.share and len(arguments.checkpoints) < 2:
        parser.error("--share takes two checkpoints")
    try:
        compare(arguments)
    except AnyirError as error:
        sys.exit(f"compare_held_out: {error}")


def compare(arguments: argparse.Namespace) -> None:
    """Measure, print and write.

    Raises:
        AnyirError: for a checkpoint, recipe or data folder that cannot be used, or a file that cannot be written.
    """
    recipe = load_recipe(arguments.recipe, ())
    recipe = replace(recipe, validation=replace(recipe.validation, samples=arguments.samples))
    checkpoints = [load_checkpoint(each) for each in arguments.checkpoints]
    _, pictures = load_split(recipe, arguments.data, torch.device("cpu"))
    validator = Validator(recipe, pictures, torch.device("cpu"))
    if not counted(validator.batches):
        raise ConfigurationError(
            f"{arguments.recipe}: no task of this recipe has held-out pictures and counts"
        )
    if arguments.share and checkpoints[0].network != checkpoints[1].network:
        raise WeightsError("--share: the first two checkpoints are of different networks; leave --share out")
    degraded: dict[str, list[float]] = {}
    candidates: list[Candidate] = []
    for name, checkpoint, state in states(arguments, checkpoints):
        sys.stderr.write(f"{name}\n")
        network = AnyIR(checkpoint.network).to(memory_format=torch.channels_last).eval()  # pyright: ignore[reportCallIssue]
        network.load_state_dict(state)
        restored: dict[str, list[float]] = {}
        for task, scores in validator.score_patches(network):
            degraded[task], restored[task] = scores.degraded.tolist(), scores.restored.tolist()
        candidates.append(Candidate(name, restored))
    study = HeldOut(degraded, tuple(candidates))
    sys.stdout.write(markdown(study))
    if arguments.output is not None:
        about = {
            "command": f"python {shlex.join(sys.argv)}",
            "recipe": arguments.recipe,
            "sha256": [hashlib.sha256(each.read_bytes()).hexdigest() for each in arguments.checkpoints],
            **library_versions(),
        }
        content = json.dumps(to_json(study, about), indent=1, allow_nan=False)
        write_atomically(arguments.output, f"{content}\n".encode())


def states(
    arguments: argparse.Namespace, checkpoints: list[Checkpoint]
) -> Iterator[tuple[str, Checkpoint, Mapping[str, Tensor]]]:
    """Name, checkpoint and state of everything that is compared."""
    for path, checkpoint in zip(arguments.checkpoints, checkpoints, strict=True):
        yield path.as_posix(), checkpoint, checkpoint.state
    for share in arguments.share:
        old, new = checkpoints[:2]
        yield f"{share:g} of the second", new, between(old.state, new.state, share)


if __name__ == "__main__":
    main()
