"""All that training needs to go on exactly where it stopped, as one safetensors file."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from anyir.errors import ConfigurationError, TrainingError, WeightsDamaged
from anyir.model.checkpoint import read_safetensors, write_safetensors_atomic
from anyir.model.network import AnyIR
from anyir.settings import from_mapping, to_mapping
from anyir.training.averaging import MovingAverage
from anyir.training.recipe import Optimiser, Recipe

STATE_FORMAT: Final = 1
_MOMENTS: Final = ("exp_avg", "exp_avg_sq")
_MAY_DIFFER: Final = frozenset({"workers"})
"""Keys of a recipe that change no batch and no weight: another machine may want other values."""


@dataclass
class TrainingState:
    """The moving parts of a run.

    Attributes:
        network: the weights that are being trained.
        average: their moving average.
        optimiser: with the moments of every parameter.
        step: steps done.
        samples: samples seen.
        seconds: time spent training, all sittings together.
        max_minutes: the budget of that time; None for none.
    """

    network: AnyIR
    average: MovingAverage
    optimiser: torch.optim.AdamW
    step: int = 0
    samples: int = 0
    seconds: float = 0.0
    max_minutes: float | None = None

    def save(self, path: Path, recipe: Recipe) -> None:
        """Write everything to ``path``, as a whole or not at all. Random states need no place: see ``step_seed``."""
        tensors = {f"network/{name}": value for name, value in self.network.state_dict().items()}
        tensors |= {f"average/{name}": value for name, value in self.average.state.items()}
        for name, parameter in self.network.named_parameters():
            moments = self.optimiser.state.get(parameter, {})
            tensors |= {f"{moment}/{name}": moments[moment] for moment in _MOMENTS if moment in moments}
        header = {
            "state_format": STATE_FORMAT,
            "recipe": to_mapping(recipe),
            "step": self.step,
            "samples": self.samples,
            "seconds": self.seconds,
            "max_minutes": self.max_minutes,
            "average_updates": self.average.updates,
        }
        write_safetensors_atomic(path, tensors, header)

    def restore(self, path: Path, recipe: Recipe) -> None:
        """Take everything from what :meth:`save` wrote.

        Raises:
            TrainingError: the run was started with another recipe; the message names the keys that differ.
            WeightsDamaged: the file is damaged or is no training state.
        """
        tensors, header = read_safetensors(path)
        if header.get("state_format") != STATE_FORMAT:
            raise WeightsDamaged(f"{path}: not a training state of this version; start a new run folder")
        check_same_recipe(path, header["recipe"], to_mapping(recipe))
        try:
            self.network.load_state_dict(_below(tensors, "network/"))
            for name, value in _below(tensors, "average/").items():
                self.average.state[name].copy_(value)
            if header["step"]:
                self._restore_moments(tensors, header["step"])
        except (KeyError, RuntimeError) as error:
            raise WeightsDamaged(f"{path}: does not hold a state of this network: {error}") from error
        self.step, self.samples, self.seconds = header["step"], header["samples"], header["seconds"]
        self.max_minutes = header["max_minutes"]
        self.average.updates = header["average_updates"]

    def _restore_moments(self, tensors: dict[str, Tensor], step: int) -> None:
        for name, parameter in self.network.named_parameters():
            moments = {m: torch.empty_like(parameter).copy_(tensors[f"{m}/{name}"]) for m in _MOMENTS}
            fused = bool(self.optimiser.defaults["fused"])
            count = torch.tensor(float(step), device=parameter.device if fused else "cpu")
            self.optimiser.state[parameter] = {"step": count, **moments}


def step_seed(seed: int, step: int) -> int:
    """A seed for one step's batch, independent of all others'; steps count from 0."""
    return int(np.random.SeedSequence((seed, step)).generate_state(1, np.uint64)[0])


def new_state(recipe: Recipe, network: AnyIR) -> TrainingState:
    """The state before the first step."""
    average = MovingAverage(network, recipe.average_decay)
    return TrainingState(network, average, make_optimiser(recipe.optimiser, network))


def make_optimiser(settings: Optimiser, network: nn.Module) -> torch.optim.AdamW:
    """AdamW; weight decay acts on convolution kernels only, not on norms, biases and temperatures."""
    kernels = [parameter for parameter in network.parameters() if parameter.ndim == 4]
    others = [parameter for parameter in network.parameters() if parameter.ndim != 4]
    on_cuda = next(network.parameters()).is_cuda
    return torch.optim.AdamW(
        [{"params": kernels, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}],
        lr=settings.learning_rate,
        betas=settings.betas,
        fused=on_cuda,
    )


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def check_same_recipe(path: Path, stored: dict[str, Any], asked: dict[str, Any]) -> None:
    """See that what is to be resumed was begun with the recipe that is asked for.

    Args:
        path: the file that holds ``stored``, for the message.
        stored: a recipe as plain values, maybe of a version that knew fewer settings.
        asked: the recipe as plain values.

    Raises:
        TrainingError: they differ; the message names the keys.
    """
    with suppress(
        ConfigurationError
    ):  # keys that the run's version of anyir did not know have their defaults
        stored = to_mapping(from_mapping(Recipe, stored, "recipe"))
    keys = (stored.keys() | asked.keys()) - _MAY_DIFFER
    different = sorted(key for key in keys if stored.get(key) != asked.get(key))
    if different:
        raise TrainingError(
            f"{path} belongs to a run with another recipe (different: {', '.join(different)}); "
            "resume with the same recipe and --set, or train into a new folder"
        )
