"""A batch's loss and its gradients; on CUDA, where the recipe says so, as one graph of kernels that is replayed.

A network of many small blocks asks for thousands of kernels a step. A GPU that is done with each sooner than the host
asks for the next waits for the host; a graph asks for all of them at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from anyir.model.network import AnyIR

EAGER: Final = 3
"""Batches of a kind before the graph is made: the first compile code, and the libraries choose their kernels."""


class Gradients:
    """A step up to the gradients: gives every parameter the gradient of a batch's loss, and returns the loss.

    Args:
        objective: the loss of degraded and clean images.
        network: whose parameters' gradients are wanted.
        device: where it is.
        graphs: replay CUDA graphs; without effect on another device.
        part_clip: largest norm that the gradient of a part's mean loss keeps; 0 for no limit. What it is longer, it is
            shortened, and the direction kept: Pascanu et al., "On the difficulty of training recurrent neural networks"
            (2013), there of a whole batch.
    """

    def __init__(
        self,
        objective: Callable[[Tensor, Tensor], Tensor],
        network: AnyIR,
        device: torch.device,
        *,
        graphs: bool,
        part_clip: float = 0.0,
    ) -> None:
        self._objective, self._network, self._part_clip = objective, network, part_clip
        self._graphs = graphs and device.type == "cuda"
        self._kind: tuple[object, ...] | None = None
        self._met = 0
        self._graph: _Graph | None = None

    @property
    def unsteady(self) -> int:
        """Batches of a kind until a step takes as long as those after it."""
        return EAGER + 1 if self._graphs else 1

    def __call__(self, degraded: Tensor, clean: Tensor, *, parts: int = 1) -> Tensor:
        """The loss, a scalar without a gradient.

        Args:
            degraded: (N, 3, H, W), in [0, 1].
            clean: likewise.
            parts: of a batch, this being one: its loss counts as much less, and its gradients are added to those that
                are there. Several make no graph. One alone expects no gradients: a graph writes its own over them.
        """
        if parts > 1:
            self._kind, self._graph = None, None  # its memory may be what there are parts for
        if parts > 1 or not self._graphs:
            return self._run(degraded, clean, parts)
        kind = (degraded.shape, tuple(module.training for module in self._network.modules()))
        if kind != self._kind:
            self._kind, self._met, self._graph = kind, 0, None
        self._met += 1
        if self._met <= EAGER:
            return self._run(degraded, clean, parts)
        if self._graph is None:
            self._graph = self._captured(degraded, clean)
        return self._graph.replay(degraded, clean)

    def _run(self, degraded: Tensor, clean: Tensor, parts: int) -> Tensor:
        """Keeps nothing of the pass alive: what a pass outside a graph leaves must not be met in the capture."""
        loss = self._objective(degraded, clean) / parts
        if self._part_clip:
            self._add_gradients_of(loss, self._part_clip / parts)
        else:
            loss.backward()
        return loss.detach()

    def _add_gradients_of(self, loss: Tensor, longest: float) -> None:
        """Adds the gradient of ``loss``, shortened to ``longest`` where it is longer, to those that are there."""
        parameters = list(self._network.parameters())
        there = [each.grad for each in parameters]
        self._network.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, longest)
        for parameter, earlier in zip(parameters, there, strict=True):
            if earlier is not None:
                parameter.grad = earlier if parameter.grad is None else earlier.add_(parameter.grad)

    def _captured(self, degraded: Tensor, clean: Tensor) -> _Graph:
        """Of batches like this one. Nothing is computed yet: the graph is, at every replay, this batch's included."""
        self._network.zero_grad(set_to_none=True)  # what is there would be added to, at every replay again
        degraded, clean = degraded.clone(), clean.clone()
        graph = torch.cuda.CUDAGraph()
        # Not "global": the thread that moves batches to pinned memory goes on asking CUDA for memory.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            loss = self._run(degraded, clean, 1)
        gradients = [(each, each.grad) for each in self._network.parameters()]
        return _Graph(graph, degraded, clean, loss, gradients)


@dataclass(frozen=True, eq=False)
class _Graph:
    """A captured run and the memory that it reads and writes."""

    graph: torch.cuda.CUDAGraph
    degraded: Tensor
    clean: Tensor
    loss: Tensor
    gradients: list[tuple[torch.nn.Parameter, Tensor | None]]

    def replay(self, degraded: Tensor, clean: Tensor) -> Tensor:
        """As for a batch that meets parameters without gradients."""
        self.degraded.copy_(degraded)
        self.clean.copy_(clean)
        self.graph.replay()
        for parameter, gradient in self.gradients:  # which the optimiser has taken away
            parameter.grad = gradient
        return self.loss.clone()
