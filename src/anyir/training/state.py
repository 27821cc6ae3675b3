"""All that training needs to go on exactly where it stopped, as one safetensors file."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.optim import AdamW, Optimizer

from anyir.errors import ConfigurationError, TrainingError, WeightsDamaged
from anyir.model.checkpoint import read_safetensors, write_safetensors_atomic
from anyir.model.network import AnyIR
from anyir.settings import from_mapping, to_mapping
from anyir.training.averaging import MovingAverage
from anyir.training.optimisers import make_optimisers, moments, parameters_of
from anyir.training.recipe import Recipe, to_header

STATE_FORMAT: Final = 1
_MAY_DIFFER: Final = frozenset({"workers"})
"""Keys of a recipe that change no batch and no weight: another machine may want other values."""


@dataclass
class TrainingState:
    """The moving parts of a run.

    Attributes:
        network: the weights that are being trained.
        average: their moving average.
        optimisers: with the moments of every parameter, each of which belongs to one of them.
        step: steps done.
        samples: samples seen.
        seconds: time spent training, all sittings together.
        max_minutes: the budget of that time; None for none.
    """

    network: AnyIR
    average: MovingAverage
    optimisers: tuple[Optimizer, ...]
    step: int = 0
    samples: int = 0
    seconds: float = 0.0
    max_minutes: float | None = None

    def set_learning_rate(self, learning_rate: float) -> None:
        """Of the next step, for all parameters."""
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = learning_rate

    def take_step(self) -> None:
        """Change the weights by their gradients, which are gone then, and average them."""
        for optimiser in self.optimisers:
            optimiser.step()
            optimiser.zero_grad()
        self.average.update(self.network)

    @property
    def moment_bytes(self) -> int:
        """What the optimisers keep, once a step is taken."""
        return sum(
            len(moments(optimiser)) * sum(parameter.nbytes for parameter in parameters_of(optimiser))
            for optimiser in self.optimisers
        )

    def save(self, path: Path, recipe: Recipe) -> None:
        """Write everything to ``path``, as a whole or not at all. Random states need no place: see ``step_seed``."""
        tensors = {f"network/{name}": value for name, value in self.network.state_dict().items()}
        tensors |= {f"average/{name}": value for name, value in self.average.state.items()}
        names = self._names()
        for optimiser in self.optimisers:
            for parameter, kept in optimiser.state.items():
                tensors |= {f"{moment}/{names[parameter]}": kept[moment] for moment in moments(optimiser)}
        header = {
            "state_format": STATE_FORMAT,
            "recipe": to_header(recipe),
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
        check_same_recipe(path, header["recipe"], to_header(recipe))
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
        names = self._names()
        for optimiser in self.optimisers:
            for parameter in parameters_of(optimiser):
                kept = {
                    moment: torch.empty_like(parameter).copy_(tensors[f"{moment}/{names[parameter]}"])
                    for moment in moments(optimiser)
                }
                if isinstance(optimiser, AdamW):
                    on_device = parameter.device if optimiser.defaults["fused"] else "cpu"
                    kept["step"] = torch.tensor(float(step), device=on_device)
                optimiser.state[parameter] = kept

    def _names(self) -> dict[Tensor, str]:
        return {parameter: name for name, parameter in self.network.named_parameters()}


def step_seed(seed: int, step: int) -> int:
    """A seed for one step's batch, independent of all others'; steps count from 0."""
    return int(np.random.SeedSequence((seed, step)).generate_state(1, np.uint64)[0])


def new_state(recipe: Recipe, network: AnyIR) -> TrainingState:
    """The state before the first step."""
    average = MovingAverage(network, recipe.average_decay)
    return TrainingState(network, average, make_optimisers(recipe.optimiser, network))


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
    stored, asked = _without_place(stored), _without_place(asked)
    keys = (stored.keys() | asked.keys()) - _MAY_DIFFER
    different = sorted(key for key in keys if stored.get(key) != asked.get(key))
    if different:
        raise TrainingError(
            f"{path} belongs to a run with another recipe (different: {', '.join(different)}); "
            "resume with the same recipe and --set, or train into a new folder"
        )


def _without_place(recipe: dict[str, Any]) -> dict[str, Any]:
    """A recipe as it decides a run: a teacher is its weights, wherever their file lies and whatever it is called."""
    teacher = recipe.get("distillation")
    return recipe if teacher is None else {**recipe, "distillation": {**teacher, "teacher": None}}
