"""Compare weights on pictures held out of training: what is shipped is chosen by it.

    python tools/compare_held_out.py OLD.safetensors NEW.safetensors --data DIR
        [--share 0.75 ...] [--tasks TASK ...] [--black-and-white] [-o FILE.json]

Prints a table of PSNR by task, a column for each checkpoint. With ``--share`` averages of the first two are compared
too, as tools/average_weights.py makes them. ``--tasks`` measures some of the tasks only, on the same patches; with
``--black-and-white`` all are made so once they are degraded. Test pictures are not looked at.
"""

from __future__ import annotations

import argparse
import json
import math
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from anyir.data.mixture import Batch, make_black_and_white
from anyir.errors import AnyirError, ConfigurationError, OutputError, WeightsError
from anyir.evaluation.held_out import Candidate, HeldOut, counted, markdown, to_json
from anyir.evaluation.results import library_versions
from anyir.files import sha256_of, write_atomically
from anyir.model.checkpoint import Checkpoint, load_checkpoint
from anyir.model.config import NetworkConfig
from anyir.model.network import AnyIR
from anyir.settings import nearest
from anyir.training.averaging import between
from anyir.training.memory import freed_memory_kept
from anyir.training.objective import on_device
from anyir.training.recipe import load_recipe
from anyir.training.sampling import load_split
from anyir.training.validation import Validator

CPU = torch.device("cpu")
State = Mapping[str, Tensor]

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
    parser.add_argument("--tasks", nargs="+", metavar="TASK", help="of the recipe; all without it")
    parser.add_argument("--black-and-white", action="store_true", help="make all patches so, once degraded")
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
    for task in arguments.tasks or ():
        if task not in recipe.weights:
            raise ConfigurationError(
                f"--tasks {task}: {arguments.recipe} has no such task{nearest(task, recipe.weights)}"
            )
    checkpoints = [load_checkpoint(each) for each in arguments.checkpoints]
    # Now: a training may replace its file meanwhile.
    digests = [sha256_of(each) for each in arguments.checkpoints]
    if arguments.output is not None and not arguments.output.parent.is_dir():
        raise OutputError(f"{arguments.output.parent}: no such folder; make it, or name another with -o")
    _, pictures = load_split(recipe, arguments.data, CPU)
    validator = Validator(recipe, pictures, CPU)
    if not (countable := counted(validator.batches)):
        raise ConfigurationError(
            f"{arguments.recipe}: no task of this recipe has held-out pictures and counts"
        )
    if arguments.tasks is not None:
        validator.batches = chosen(validator.batches, arguments.tasks, countable)
    if arguments.black_and_white:
        for task, batch in validator.batches.items():
            validator.batches[task] = make_black_and_white(*batch, 1.0, torch.Generator())
    if arguments.share and checkpoints[0].network != checkpoints[1].network:
        raise WeightsError("--share: the first two checkpoints are of different networks; leave --share out")
    with freed_memory_kept(CPU):
        study = measured(validator, states(arguments, checkpoints))
    sys.stdout.write(markdown(study))
    if arguments.output is not None:
        about = {
            "command": f"python {shlex.join(sys.argv)}",
            "recipe": arguments.recipe,
            "sha256": digests,
            **library_versions(),
        }
        content = json.dumps(to_json(study, about), indent=1, allow_nan=False)
        write_atomically(arguments.output, f"{content}\n".encode())


def chosen(batches: Mapping[str, Batch], tasks: Iterable[str], countable: Iterable[str]) -> dict[str, Batch]:
    """The batches of some tasks, in the recipe's order.

    Raises:
        ConfigurationError: a task has none, or none of them counts.
    """
    asked, countable = list(tasks), list(countable)
    for task in asked:
        if task not in batches:
            raise ConfigurationError(
                f"--tasks {task}: none of its pictures are held out; with some are {', '.join(batches)}"
            )
    if not set(asked).intersection(countable):
        raise ConfigurationError(f"--tasks: none of these counts; add one of {', '.join(countable)}")
    return {task: batch for task, batch in batches.items() if task in asked}


def measured(validator: Validator, weights: Iterable[tuple[str, NetworkConfig, State]]) -> HeldOut:
    """Score everything, one after the other."""
    degraded: dict[str, list[float]] = {}
    study = HeldOut(degraded, ())
    for name, config, state in weights:
        network = on_device(AnyIR(config), CPU).eval()
        network.load_state_dict(state)
        restored: dict[str, list[float]] = {}
        for task, scores in validator.score_patches(network):
            degraded[task], restored[task] = scores.degraded.tolist(), scores.restored.tolist()
        if not all(math.isfinite(score) for scores in restored.values() for score in scores):
            raise WeightsError(f"{name}: what these weights make of some patches is not finite; use others")
        candidate = Candidate(name, restored)
        study = HeldOut(degraded, (*study.candidates, candidate))
        gain, harmed = study.mean_gain(candidate), study.harmed(candidate)
        sys.stderr.write(f"{name}: mean gain {gain:.3f} dB, {harmed} harmed\n")
    return study


def states(
    arguments: argparse.Namespace, checkpoints: list[Checkpoint]
) -> Iterator[tuple[str, NetworkConfig, State]]:
    """Name, network and weights of everything that is compared."""
    for path, checkpoint in zip(arguments.checkpoints, checkpoints, strict=True):
        yield path.as_posix(), checkpoint.network, checkpoint.state
    for share in arguments.share:
        old, new = checkpoints[:2]
        yield f"{share:g} of the second", new.network, between(old.state, new.state, share)


if __name__ == "__main__":
    main()
