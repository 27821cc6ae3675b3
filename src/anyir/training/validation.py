"""Validation during training: PSNR a task on pictures held out of the training sets."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

import torch
from torch import Generator, Tensor, nn

from anyir.data.catalogue import TrainingPictures
from anyir.data.mixture import Batch, Mixture, task_sets
from anyir.training.recipe import Recipe

AT_ONCE: Final = 8
"""Patches that go through the network together: what lies between its layers grows with them."""


class Score(NamedTuple):
    """Mean PSNR over a task's patches, in dB over RGB, capped at 60 dB a patch."""

    degraded: float
    restored: float


class PatchScores(NamedTuple):
    """PSNR of a task's patches, (N,) each, in dB over RGB, capped at 60 dB."""

    degraded: Tensor
    restored: Tensor


def psnr_per_image(images: Tensor, clean: Tensor) -> Tensor:
    """PSNR in dB of each image: two (N, C, H, W) in [0, 1] → (N,). Capped at 60 dB, which equal images would exceed."""
    error = (images.clamp(0, 1) - clean).square().mean((1, 2, 3))
    return -10 * torch.log10(error.clamp_min(1e-6))


def restore_patches(network: nn.Module, degraded: Tensor) -> Tensor:
    """What a network makes of a task's patches, a few at a time: (N, C, H, W) → (N, C, H, W)."""
    parts = degraded.to(memory_format=torch.channels_last).split(AT_ONCE)
    return torch.cat([network(part) for part in parts])


class Validator:
    """The same patches at every validation, of every task whose sets have held-out pictures.

    The patches are made once, with generators of their own: validation neither disturbs training's randomness nor
    depends on when it happens.

    Args:
        recipe: of the run.
        pictures: those held out.
        device: where the network is.
    """

    def __init__(self, recipe: Recipe, pictures: TrainingPictures, device: torch.device) -> None:
        present = set(pictures.sources)
        weights = {
            name: weight
            for name, weight in recipe.weights.items()
            if weight > 0 and present.issuperset(task_sets(name, recipe.sources))
        }
        self.batches: dict[str, Batch] = {}
        size = min(recipe.validation.patch, pictures.smallest_side // 8 * 8)
        mixture = Mixture(weights, pictures, sources=recipe.sources) if weights else None
        for name in weights:
            assert mixture is not None
            generator = Generator(pictures.device).manual_seed(zlib.crc32(name.encode()))
            batch = mixture.task_batch(name, recipe.validation.samples, size, generator)
            self.batches[name] = Batch(*(images.to(device) for images in batch))

    @torch.no_grad()
    def score(self, network: nn.Module) -> dict[str, Score]:
        """Task → PSNR of the degraded and the restored patches. The network must be in evaluation mode."""
        return {
            name: Score(float(each.degraded.mean()), float(each.restored.mean()))
            for name, each in self.score_patches(network)
        }

    @torch.no_grad()
    def score_patches(self, network: nn.Module) -> Iterator[tuple[str, PatchScores]]:
        """Each task, and the PSNR of every one of its patches. The network must be in evaluation mode."""
        for name, (degraded, clean) in self.batches.items():
            restored = restore_patches(network, degraded)
            yield name, PatchScores(psnr_per_image(degraded, clean), psnr_per_image(restored, clean))

    @torch.no_grad()
    def rows(self, network: nn.Module) -> Iterator[tuple[str, Tensor]]:
        """Task and the first of its patches, degraded, restored and clean side by side: (3, P, 3 P) in [0, 1]."""
        for name, (degraded, clean) in self.batches.items():
            restored = network(degraded[:1].to(memory_format=torch.channels_last)).clamp(0, 1)
            yield name, torch.cat((degraded[0], restored[0], clean[0]), dim=2)
