"""From a recipe and pictures to the batches of a training."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Generator

from anyir.data.catalogue import TrainingPictures, load_pictures
from anyir.data.epochs import Epochs
from anyir.data.mixture import Batch, Mixture
from anyir.training.recipe import Recipe


@dataclass(frozen=True)
class Sampler:
    """What a training is made of.

    Attributes:
        steps: of the whole training.
        shares: task → share of the samples.
        epoch: task → samples an epoch; empty where the recipe has no epochs.
        batch: (samples seen before, samples, side of the patches, generator) → a batch. The generator is on the
            pictures' device. It can be pickled, as it goes to worker processes.
    """

    steps: int
    shares: dict[str, float]
    epoch: dict[str, int]
    batch: Callable[[int, int, int, Generator], Batch]


def load_split(recipe: Recipe, data: Path, device: torch.device) -> tuple[TrainingPictures, TrainingPictures]:
    """The pictures that a recipe trains on and those that it holds out, from a data folder.

    Raises:
        DataError: pictures are missing, differ in size within a pair, or are smaller than the recipe's largest patch.
        PictureError: a file is damaged.
    """
    training, validation = load_pictures(
        data,
        recipe.sets,
        device,
        hold_out_every=recipe.validation.hold_out_every,
        crop_multiple=recipe.crop_multiple,
        loading=recipe.loading,
        leave_out=recipe.leave_out,
    )
    training.check_patch(
        max(stage.patch for stage in recipe.stages)
    )  # now, not hours later in the last stage
    return training, validation


def make_sampler(recipe: Recipe, pictures: TrainingPictures) -> Sampler:
    """The sampler of a recipe over a training split.

    Raises:
        ConfigurationError: a weight is impossible.
    """
    if recipe.mixture:
        mixture = Mixture(
            recipe.mixture,
            pictures,
            sources=recipe.sources,
            scales=recipe.scales,
            tones=recipe.tones,
            black_and_white=recipe.black_and_white,
        )
        assert recipe.steps is not None, "a recipe without repeats has no epochs, so it has steps"
        total = sum(recipe.mixture.values())
        shares = {name: recipe.mixture[name] / total for name in mixture.tasks}
        return Sampler(recipe.steps, shares, {}, partial(_independent, mixture))
    epochs = Epochs(recipe.repeats, pictures, recipe.seed, sources=recipe.sources)
    ends = [recipe.steps] if recipe.steps is not None else []
    if recipe.epochs is not None:
        ends.append(math.ceil(recipe.epochs * epochs.length / recipe.stages[0].batch))
    shares = {name: samples / epochs.length for name, samples in epochs.samples.items()}
    return Sampler(min(ends), shares, epochs.samples, epochs.batch)


def _independent(mixture: Mixture, before: int, samples: int, size: int, generator: Generator) -> Batch:
    """A batch that does not ask what came before it."""
    return mixture.batch(samples, size, generator)
