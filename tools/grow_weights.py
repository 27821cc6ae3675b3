"""Grow a trained checkpoint to a larger network that begins by doing nearly the same: weights to start training from.

    python tools/grow_weights.py anyir-s anyir --data DIR -o grown.safetensors

What attention's new channels take away is measured on degraded patches of the training pictures, drawn as the recipe
named by ``--recipe`` does; see anyir.training.growth.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

import torch
from torch import Generator

from anyir.apps.options import protect_inputs
from anyir.errors import AnyirError
from anyir.model.checkpoint import find_checkpoint, load_checkpoint, save_checkpoint
from anyir.model.config import network_config
from anyir.training.growth import grow
from anyir.training.recipe import load_recipe
from anyir.training.sampling import load_split, make_sampler

PATCHES: Final = 44
"""By the shares of the tasks, of which the rarest may have none."""


def main() -> None:
    """Exits with 1 where the network cannot be grown or the pictures are not there."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", help="shipped weights by name, or a file")
    parser.add_argument("network", help="name of the larger network")
    parser.add_argument("--data", required=True, type=Path, help="folder of the training pictures")
    parser.add_argument("--recipe", default="anyir-grown", help="of the training to come")
    parser.add_argument("-o", "--output", required=True, type=Path)
    arguments = parser.parse_args()
    try:
        checkpoint = find_checkpoint(arguments.checkpoint)
        protect_inputs(arguments.output, checkpoint)
        small = load_checkpoint(checkpoint)
        config = network_config(arguments.network)
        recipe = load_recipe(arguments.recipe)
        training, _ = load_split(recipe, arguments.data, torch.device("cpu"))
        size = recipe.stages[0].patch
        batch = make_sampler(recipe, training).batch(0, PATCHES, size, Generator().manual_seed(recipe.seed))
        network = grow(small, config, batch.degraded, recipe.seed)
        training_of_small = small.header.get("training", {"file": Path(arguments.checkpoint).name})
        header = {
            **{key: small.header[key] for key in ("anyir", "recipe") if key in small.header},
            "name": arguments.network,
            "training": {"grown_from": small.header.get("name", "another"), **training_of_small},
        }
        save_checkpoint(arguments.output, network, config, header, torch.float16)
    except AnyirError as error:
        sys.exit(f"grow_weights: {error}")


if __name__ == "__main__":
    main()
