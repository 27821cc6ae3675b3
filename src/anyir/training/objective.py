"""What a step of training does with a batch: the network's results, in the recipe's precision, and their loss."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from anyir.errors import ConfigurationError
from anyir.model.checkpoint import build_network, digest_of, find_checkpoint, load_checkpoint
from anyir.model.network import AnyIR
from anyir.training.compiling import compiled
from anyir.training.losses import batch_loss
from anyir.training.recipe import Recipe


@dataclass(frozen=True, eq=False)
class Teacher:
    """A trained network whose results another is to give too.

    Attributes:
        network: on the CPU, in evaluation mode.
        about: what the header of the other's weights says of it: name, file, SHA-256 of the weights, and the recipe,
            samples and data of its last run.
    """

    network: AnyIR
    about: dict[str, Any]


def load_teacher(recipe: Recipe) -> tuple[Recipe, Teacher | None]:
    """The teacher of a recipe, if it has one, and the recipe with the SHA-256 of the teacher's weights.

    Raises:
        WeightsError: its checkpoint is not there, or cannot be used.
        ConfigurationError: the recipe has another SHA-256 already.
    """
    asked = recipe.distillation
    if asked is None:
        return recipe, None
    file = find_checkpoint(asked.teacher)
    checkpoint = load_checkpoint(file)
    sha256 = digest_of(checkpoint.state)
    if asked.sha256 not in (None, sha256):
        raise ConfigurationError(
            f"{file}: not the weights that the recipe means (distillation.sha256 = {asked.sha256!r}, these have "
            f"{sha256!r}); name those as distillation.teacher"
        )
    training = checkpoint.header.get("training", {})
    about = {key: training[key] for key in ("recipe", "samples", "data") if key in training}
    about |= {"name": checkpoint.header.get("name"), "file": file.name, "sha256": sha256}
    settled = replace(recipe, distillation=replace(asked, sha256=sha256))
    return settled, Teacher(build_network(checkpoint), about)


class Objective:
    """What training makes small.

    Args:
        recipe: whose loss, precision and compilation.
        network: what is trained, where it is trained; compiled in place where the recipe says so.
        teacher: of the recipe; moved to where the network is, and changed in no other way.
        place: that device.
    """

    def __init__(self, recipe: Recipe, network: AnyIR, teacher: Teacher | None, place: torch.device) -> None:
        self._recipe, self._place = recipe, place
        self._network = compiled(network, place) if recipe.compile else network
        self._teacher, self._share, self._mean_tolerance = None, 0.0, None
        if teacher is not None and recipe.distillation is not None:
            self._share, self._mean_tolerance = recipe.distillation.share, recipe.distillation.mean_tolerance
            taught_by = on_device(teacher.network, place).requires_grad_(False)
            self._teacher = compiled(taught_by, place) if recipe.compile else taught_by

    def __call__(self, degraded: Tensor, clean: Tensor) -> Tensor:
        """The loss, a scalar in float32, of (N, 3, H, W) images in [0, 1]; sides are multiples of 8."""
        recipe = self._recipe
        images = degraded.to(memory_format=torch.channels_last)
        taught = None
        with torch.autocast(self._place.type, torch.bfloat16, enabled=recipe.precision == "bfloat16"):
            if self._teacher is not None:
                with torch.no_grad():  # first: what the network keeps for its gradients is not there yet
                    taught = self._teacher(images).float()
            restored = self._network(images).float()
        followed = (taught, self._share, self._mean_tolerance)
        return batch_loss(recipe.loss, recipe.harm, restored, clean, degraded, *followed)


def on_device(network: AnyIR, device: torch.device) -> AnyIR:
    """Channels-last memory: convolutions and channel norms are faster in it, on a CPU too."""
    return network.to(device).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
