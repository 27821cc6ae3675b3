"""Whose gradient a batch's is: how long that of each sample's loss is, by task, on patches held out of training.

    python tools/gradient_study.py CHECKPOINT --data DIR
        [--recipe RECIPE] [--samples 16] [--clip 3] [-o FILE.json]

A batch's gradient is the mean of its samples'. Where a few of them are ten times as long as the rest, it is theirs, and
the rest hardly teach. The loss is the recipe's, without a teacher, in float32, with BatchNorm as in inference, on
patches of the recipe's validation. Prints a table: of each task its share of the samples, the norms, and its share of
the sum of their squares, as they are and where none is longer than ``--clip``.
"""

from __future__ import annotations

import argparse
import json
import math
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from anyir.data.mixture import Batch
from anyir.errors import AnyirError, ConfigurationError, OutputError, WeightsError
from anyir.evaluation.results import library_versions
from anyir.evaluation.tables import aligned
from anyir.files import sha256_of, write_atomically
from anyir.model.checkpoint import build_network, load_checkpoint
from anyir.model.network import AnyIR
from anyir.training.objective import Objective, on_device
from anyir.training.recipe import load_recipe
from anyir.training.sampling import load_split
from anyir.training.validation import Validator

CPU = torch.device("cpu")

RECIPE = "anyir-s-cpu-grain"
"""Whose loss, tasks and held-out pictures are taken."""


def main() -> None:
    """Says what it is at on the error stream; exits with 1 where a file cannot be used."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT")
    parser.add_argument("--data", required=True, type=Path, help="folder of the training pictures")
    parser.add_argument(
        "--recipe", default=RECIPE, help=f"whose loss, tasks and pictures are taken ({RECIPE})"
    )
    parser.add_argument("--samples", type=_count, default=16, help="patches a task (16)")
    parser.add_argument("--clip", type=_norm, default=3.0, help="the longest gradient of the last column (3)")
    parser.add_argument("-o", "--output", type=Path, help="write every patch's norm as JSON")
    arguments = parser.parse_args()
    try:
        study(arguments)
    except AnyirError as error:
        sys.exit(f"gradient_study: {error}")


def study(arguments: argparse.Namespace) -> None:
    """Measure, print and write.

    Raises:
        AnyirError: for a checkpoint, recipe or data folder that cannot be used, or a file that cannot be written.
    """
    recipe = load_recipe(arguments.recipe, ())
    recipe = replace(
        recipe,
        compile=False,
        precision="float32",
        validation=replace(recipe.validation, samples=arguments.samples),
    )
    checkpoint = load_checkpoint(arguments.checkpoint)
    digest = sha256_of(arguments.checkpoint)
    if arguments.output is not None and not arguments.output.parent.is_dir():
        raise OutputError(f"{arguments.output.parent}: no such folder; make it, or name another with -o")
    _, pictures = load_split(recipe, arguments.data, CPU)
    batches = Validator(recipe, pictures, CPU).batches
    if not batches:
        raise ConfigurationError(f"{arguments.recipe}: no task of this recipe has held-out pictures")
    network = on_device(build_network(checkpoint), CPU)
    objective = Objective(recipe, network, None, CPU)
    norms: dict[str, list[float]] = {}
    for task, batch in batches.items():
        norms[task] = gradient_norms(objective, network, batch)
        if not all(math.isfinite(norm) for norm in norms[task]):
            raise WeightsError(
                f"{arguments.checkpoint}: a gradient of {task} is not finite; use other weights"
            )
        sys.stderr.write(f"{task}: median {np.median(norms[task]):.2f}\n")
    sys.stdout.write(markdown(norms, recipe.weights, arguments.clip))
    if arguments.output is not None:
        content = {
            "command": f"python {shlex.join(sys.argv)}",
            "recipe": arguments.recipe,
            "sha256": digest,
            **library_versions(),
            "weights": {task: recipe.weights[task] for task in norms},
            "norms": {task: [round(norm, 4) for norm in each] for task, each in norms.items()},
        }
        text = json.dumps(content, indent=1, allow_nan=False)
        write_atomically(arguments.output, f"{text}\n".encode())


def gradient_norms(objective: Objective, network: AnyIR, batch: Batch) -> list[float]:
    """The Euclidean norm of the gradient, in all parameters, of each sample's loss."""
    parameters = [each for each in network.parameters() if each.requires_grad]
    norms: list[float] = []
    for degraded, clean in zip(batch.degraded.split(1), batch.clean.split(1), strict=True):
        gradients = torch.autograd.grad(objective(degraded, clean), parameters)
        norms.append(float(torch.nn.utils.get_total_norm(gradients)))
    return norms


def markdown(norms: Mapping[str, Sequence[float]], weights: Mapping[str, float], clip: float) -> str:
    """A row a task, and how much of the whole the longest twentieth has."""
    total = sum(weights[task] for task in norms)
    shares = {task: weights[task] / total for task in norms}
    as_they_are, clipped = squares(norms, shares, math.inf), squares(norms, shares, clip)
    lines = [["task", "samples", "median", "90 %", "longest", "squares", f"squares, none above {clip:g}"]]
    for task, each in norms.items():
        parts = (part[task] / sum(part.values()) for part in (as_they_are, clipped))
        quantiles = np.quantile(each, (0.5, 0.9, 1.0))
        cells = (
            f"{shares[task]:.1%}",
            *(f"{value:.2f}" for value in quantiles),
            *(f"{part:.1%}" for part in parts),
        )
        lines.append([task.replace("_", " "), *cells])
    ranked = sorted(
        ((norm, shares[task] / len(each)) for task, each in norms.items() for norm in each), reverse=True
    )
    lengths, weight = np.array(ranked).T
    within = np.clip(0.05 - (np.cumsum(weight) - weight), 0, weight)
    of_longest = (within * lengths**2).sum() / (weight * lengths**2).sum()
    note = f"Norms of each sample's gradient. The longest twentieth of the samples has {of_longest:.0%} of the squares."
    return "\n".join((*aligned(lines), "", note)) + "\n"


def squares(
    norms: Mapping[str, Sequence[float]], shares: Mapping[str, float], longest: float
) -> dict[str, float]:
    """Each task's part of the mean squared norm, none taken for longer than ``longest``."""
    return {
        task: shares[task] * float(np.square(np.minimum(each, longest)).mean())
        for task, each in norms.items()
    }


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _norm(text: str) -> float:
    number = float(text)
    if not (math.isfinite(number) and number > 0):
        raise argparse.ArgumentTypeError("must be a number above 0")
    return number


if __name__ == "__main__":
    main()
