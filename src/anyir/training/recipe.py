"""Recipes: everything that decides a training run, in one typed, immutable value read from TOML.

A recipe may build on another: its file then has a ``base``, and says only what is different
(:mod:`anyir.training.recipe_files`). What is loaded, compared and stored with a run is always the whole of it.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, cast

from anyir.data.catalogue import Loading
from anyir.data.mixture import check_leave_out, check_sources, check_weights, sources_of
from anyir.errors import ConfigurationError
from anyir.model.config import SIZE_MULTIPLE, network_config
from anyir.settings import from_mapping, to_mapping
from anyir.training.recipe_files import FILE_KEYS, read_recipe

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # the same library, before it joined the language


def _require(ok: bool, key: str, value: object, what: str) -> None:
    if not ok:
        raise ConfigurationError(f"recipe {key} = {value!r}: {what}")


@dataclass(frozen=True)
class Optimiser:
    """The optimiser and its learning rate.

    Attributes:
        name: ``adamw`` (Adam where ``weight_decay`` is 0), or ``muon`` for the kernels that mix channels and AdamW
            for the rest: more is learnt a step (:class:`anyir.training.optimisers.Muon`).
        learning_rate: after the warm-up, of all parameters.
        final_share: of the learning rate, reached at the end of the cosine.
        betas: decay of the gradient's two moments, in AdamW.
        momentum: decay of the mean gradient, in Muon.
        weight_decay: decoupled, on matrices and kernels only.
        gradient_clip: largest norm of the whole gradient; 0 for no limit. Neither optimiser's step grows with the
            gradient: a limit keeps one batch from outweighing others in the means.
        part_clip: largest norm of the gradient of each of the ``stages.accumulate`` parts of a batch, before their mean
            is taken, on which ``gradient_clip`` acts; 0 for no limit. In one process only. With as many parts as
            samples, none of these outweighs the others: those of different tasks have gradients of very different
            lengths, and those taken for something else the longest.
    """

    name: Literal["adamw", "muon"] = "adamw"
    learning_rate: float = 2e-4
    final_share: float = 0.01
    betas: tuple[float, float] = (0.9, 0.999)
    momentum: float = 0.95
    weight_decay: float = 0.0
    gradient_clip: float = 1.0
    part_clip: float = 0.0

    def __post_init__(self) -> None:
        _require(self.learning_rate > 0, "optimiser.learning_rate", self.learning_rate, "must be positive")
        _require(0 <= self.final_share <= 1, "optimiser.final_share", self.final_share, "must be in 0 to 1")
        _require(all(0 <= b < 1 for b in self.betas), "optimiser.betas", self.betas, "each must be in 0 to 1")
        _require(0 <= self.momentum < 1, "optimiser.momentum", self.momentum, "must be at least 0, below 1")
        _require(self.weight_decay >= 0, "optimiser.weight_decay", self.weight_decay, "must not be negative")
        _require(
            self.gradient_clip >= 0, "optimiser.gradient_clip", self.gradient_clip, "must not be negative"
        )
        _require(self.part_clip >= 0, "optimiser.part_clip", self.part_clip, "must not be negative")


@dataclass(frozen=True)
class Stage:
    """A part of the training with one patch and batch size.

    Attributes:
        until: share of the whole training at which the stage ends; the last stage's is 1.
        patch: side of the patches, a multiple of 8.
        batch: samples a step.
        freeze_batch_norm: normalise with the running statistics, as inference does, instead of the batch's.
        accumulate: work on the batch in this many equal parts, one after the other, to save memory, and step once.
            With frozen BatchNorm and without ``optimiser.part_clip``, which bounds each part, that changes nothing but
            rounding. With BatchNorm that is not frozen each part is normalised with its own statistics, and the running
            ones are updated once a part: BatchNorm then sees batches of ``batch / accumulate`` samples, over which the
            tasks are spread as evenly as over the whole.
    """

    until: float
    patch: int
    batch: int
    freeze_batch_norm: bool = False
    accumulate: int = 1

    def __post_init__(self) -> None:
        _require(0 < self.until <= 1, "stages.until", self.until, "must be above 0 and at most 1")
        # Blur kernels, and the patches' own statistics, want more than a few pixels.
        fits = self.patch >= 16 and self.patch % SIZE_MULTIPLE == 0
        _require(fits, "stages.patch", self.patch, f"must be a multiple of {SIZE_MULTIPLE} of at least 16")
        _require(self.batch >= 1, "stages.batch", self.batch, "must be at least 1")
        _require(self.accumulate >= 1, "stages.accumulate", self.accumulate, "must be at least 1")
        even = self.batch % self.accumulate == 0
        _require(even, "stages.batch", self.batch, f"must be a multiple of accumulate = {self.accumulate}")


@dataclass(frozen=True)
class Validation:
    """Validation on pictures held out of the training sets.

    Attributes:
        every_steps: steps between two validations.
        samples: patches a task.
        patch: side of the patches, a multiple of 8.
        hold_out_every: of each set's clean pictures, one in so many is held out; 0 for none, and then there is no
            validation: so the papers train.
    """

    every_steps: int = 1000
    samples: int = 8
    patch: int = 128
    hold_out_every: int = 20

    def __post_init__(self) -> None:
        every = self.hold_out_every
        _require(every == 0 or every > 1, "validation.hold_out_every", every, "must be 0 or at least 2")
        _require(self.every_steps >= 1, "validation.every_steps", self.every_steps, "must be at least 1")
        _require(self.samples >= 1, "validation.samples", self.samples, "must be at least 1")
        fits = self.patch >= 16 and self.patch % SIZE_MULTIPLE == 0
        _require(
            fits, "validation.patch", self.patch, f"must be a multiple of {SIZE_MULTIPLE} of at least 16"
        )


@dataclass(frozen=True)
class Distillation:
    """Learning from a trained network too: Hinton et al., "Distilling the Knowledge in a Neural Network" (2015).

    What a scene's light was, or how thick its haze, a degraded image tells only roughly. Its clean image is one of the
    answers that would fit, a larger network's result should be nearer to the middle of them, and gradients less noisy.

    Attributes:
        teacher: name of shipped weights, or a checkpoint's path (from the working directory), of any network.
        share: of the loss that is measured against the teacher's results instead of the clean images, above 0, up to 1.
        mean_tolerance: largest error of the teacher's mean in any colour, on the scale 0 to 1. An image where it errs
            by more is learnt from its clean image alone, so that a network can better its teacher's brightness and
            colours. None for no limit.
        sha256: of the teacher's weights; training fills it in, and refuses others where it is given.
    """

    teacher: str
    share: float = 0.5
    mean_tolerance: float | None = None
    sha256: str | None = None

    def __post_init__(self) -> None:
        _require(bool(self.teacher), "distillation.teacher", self.teacher, "must be a name or a file")
        _require(0 < self.share <= 1, "distillation.share", self.share, "must be above 0 and at most 1")
        tolerance = self.mean_tolerance
        within = tolerance is None or 0 < tolerance < 1
        what = "must be above 0 and below 1 (0.02 is five grey levels), or left out"
        _require(within, "distillation.mean_tolerance", tolerance, what)


@dataclass(frozen=True)
class Recipe:
    """One training run.

    Attributes:
        network: name of the network (:data:`anyir.model.config.NETWORKS`).
        stages: patch and batch size over the training, in order.
        mixture: task → relative share of the samples (:data:`anyir.data.mixture.TASKS`); every sample is drawn
            independently.
        repeats: task → how often each of its examples comes in an epoch; the alternative to ``mixture``, and how the
            papers balance tasks.
        sources: task → sets (:data:`anyir.data.sets.SETS`) that it draws from, where not from its own.
        leave_out: set → scenes, named as the clean pictures without suffix (``0001``; ``GOPR0372_07_00/000047`` in sets
            with a folder for each), that are not to be trained on.
        test_pictures: ``refuse`` to train on a picture that shows what a picture of a test set beside the training sets
            shows, or ``allow`` it.
        scales: draw patches from pictures scaled down too, in the tasks that have ``zooms``.
        tones: change the tones of some samples, in the tasks that have ``tones``.
        black_and_white: share of the samples of a mixture that are made so once they are degraded: their noise is then
            the same in the three channels, and so are their rain, haze, blur and JPEG blocks.
        loading: ``memory`` reads all pictures before training and holds them where it trains, which makes the batches
            too; ``host`` holds them in the computer's memory, for a GPU that should do nothing but train; ``files``
            reads each whenever it is drawn, for sets that no memory holds. A damaged file is then met when it is
            drawn, unless ``test_pictures`` are to be refused, for which all are read first: ``anyir data check``
            finds it before.
        workers: processes that make batches on the CPU, ahead of the training, where ``loading`` is ``host`` or
            ``files``; never more than there are processors. With 0 training itself does it, and waits. The batches are
            the same, so a run may be resumed with another number.
        crop_multiple: of each picture the centre is taken, its sides cut to multiples of this; the papers' is 16.
        steps: optimiser steps of a whole training.
        epochs: the alternative to ``steps``, with ``repeats``. Where both are given, the shorter training it is.
        warmup_steps: steps over which the learning rate rises linearly from 0.
        optimiser: the optimiser.
        loss: ``l1``, the mean absolute error, or ``psnr``, the mean over images of the logarithm of their RMS error,
            which counts a decibel the same on a nearly clean image as on a dark one.
        harm: how much more the loss of an image weighs where it comes back worse than it went in; 0 for none.
        distillation: learn from another network's results too; None for none.
        average_decay: decay of the exponential moving average of weights and statistics, which is what is kept.
        precision: ``bfloat16`` runs the network in mixed precision.
        compile: compile the network with ``torch.compile``.
        cuda_graphs: replay the kernels of a step up to its gradients as one graph (:mod:`anyir.training.gradients`): on
            CUDA, in one process, in stages that do not accumulate.
        validation: validation.
        checkpoint_every_steps: steps between two checkpoints.
        seed: of the initial weights and all batches.
    """

    network: str
    stages: tuple[Stage, ...]
    mixture: Mapping[str, float] = field(default_factory=dict)
    repeats: Mapping[str, int] = field(default_factory=dict)
    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    leave_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    test_pictures: Literal["refuse", "allow"] = "refuse"
    scales: bool = False
    tones: bool = False
    black_and_white: float = 0.0
    loading: Loading = "memory"
    workers: int = 4
    crop_multiple: int = 1
    steps: int | None = None
    epochs: int | None = None
    warmup_steps: int = 200
    optimiser: Optimiser = field(default_factory=Optimiser)
    loss: Literal["l1", "psnr"] = "l1"
    harm: float = 0.0
    distillation: Distillation | None = None
    average_decay: float = 0.999
    precision: Literal["float32", "bfloat16"] = "float32"
    compile: bool = False
    cuda_graphs: bool = False
    validation: Validation = field(default_factory=Validation)
    checkpoint_every_steps: int = 500
    seed: int = 0

    def __post_init__(self) -> None:
        network_config(self.network)
        if bool(self.mixture) == bool(self.repeats):
            raise ConfigurationError(
                "recipe: give a mixture (shares of the samples) or repeats, one of the two"
            )
        if self.steps is None and self.epochs is None:
            raise ConfigurationError("recipe: give steps or epochs")
        check_weights(self.weights)
        check_sources(self.sources)
        check_leave_out(self.leave_out)
        for key in ("steps", "epochs", "crop_multiple"):
            value = getattr(self, key)
            _require(value is None or value >= 1, key, value, "must be at least 1")
        if self.epochs is not None:
            _require(
                bool(self.repeats), "epochs", self.epochs, "only a recipe with repeats has epochs; give steps"
            )
            one_batch = len({stage.batch for stage in self.stages}) == 1
            _require(
                one_batch, "epochs", self.epochs, "with epochs, the batch must be the same in all stages"
            )
        _require(
            0 <= self.black_and_white <= 1 and (bool(self.mixture) or not self.black_and_white),
            "black_and_white",
            self.black_and_white,
            "must be from 0 to 1, and 0 without a mixture",
        )
        _require(self.workers >= 0, "workers", self.workers, "must not be negative")
        _require(self.harm >= 0, "harm", self.harm, "must not be negative")
        _require(0 <= self.warmup_steps, "warmup_steps", self.warmup_steps, "must not be negative")
        _require(
            0 <= self.average_decay < 1, "average_decay", self.average_decay, "must be at least 0, below 1"
        )
        _require(
            self.checkpoint_every_steps >= 1,
            "checkpoint_every_steps",
            self.checkpoint_every_steps,
            "at least 1",
        )
        _require(self.seed >= 0, "seed", self.seed, "must not be negative")
        ends = [stage.until for stage in self.stages]
        rising = bool(ends) and ends[-1] == 1 and all(a < b for a, b in pairwise(ends))
        _require(rising, "stages.until", ends, "must rise from stage to stage and end at 1")

    @property
    def weights(self) -> Mapping[str, float]:
        """Task → share of the samples, or how often each of its examples comes in an epoch."""
        return self.mixture or self.repeats

    @property
    def sets(self) -> tuple[str, ...]:
        """The data sets that the recipe draws on, sorted."""
        return sources_of(self.weights, self.sources)

    def stage_at(self, progress: float) -> Stage:
        """The stage at a share of the training (0 to 1)."""
        return next(stage for stage in self.stages if progress < stage.until or stage.until >= 1)

    def learning_rate_at(self, step: int, progress: float) -> float:
        """Linear warm-up over steps, then cosine over the share of the training that is done."""
        warm = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        low = self.optimiser.final_share
        cosine = low + (1 - low) * (1 + math.cos(math.pi * min(progress, 1.0))) / 2
        return self.optimiser.learning_rate * warm * cosine


def to_header(recipe: Recipe) -> dict[str, Any]:
    """A recipe as plain values for a file that others may get: of a teacher's path, it has the file's name."""
    values = to_mapping(recipe)
    if recipe.distillation is not None:
        values["distillation"]["teacher"] = Path(recipe.distillation.teacher).name
    return values


def load_recipe(name_or_file: str, changes: Iterable[str] = ()) -> Recipe:
    """Read a recipe of the package by name, or any TOML file.

    Args:
        name_or_file: a name of :func:`anyir.training.recipe_files.shipped_recipes`, or a path that ends in ``.toml``.
        changes: ``key=value`` each, dots between tables (``optimiser.learning_rate=1e-3``), the value in TOML. They
            are made to the whole recipe, its base included.

    Raises:
        ConfigurationError: no such recipe or base, unreadable TOML, an unknown key, a wrong type or an impossible
            value.
    """
    values = read_recipe(name_or_file)
    for change in changes:
        _apply(values, change)
    return from_mapping(Recipe, values, "recipe")


def _apply(values: dict[str, Any], change: str) -> None:
    """Set one ``key=value`` in nested tables, in place."""
    key, equals, text = change.partition("=")
    if not equals or not key.strip():
        raise ConfigurationError(f"--set {change!r}: write key=value, as in optimiser.learning_rate=1e-3")
    if key.strip() in FILE_KEYS:
        raise ConfigurationError(f"--set {change!r}: only a recipe's file can have this key")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()  # a bare word is a string: --set network=anyir-s
    *tables, last = key.strip().split(".")
    table = values
    for name in tables:
        inner = table.setdefault(name, {})
        if not isinstance(inner, dict):
            raise ConfigurationError(f"--set {change!r}: {name!r} is no table; give its whole value instead")
        table = cast("dict[str, Any]", inner)
    table[last] = value
