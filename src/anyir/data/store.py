"""Pictures of different sizes in one block of memory, cropped in batches on whatever device holds them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anyir.errors import ShapeMismatch


class PictureStore:
    """8-bit pictures laid end to end in one flat tensor, so that a batch of crops is one gather.

    Two thousand training pictures take well under a gigabyte this way and fit beside the network in the memory of
    an accelerator, where cropping then costs nothing.

    Args:
        pictures: (H, W, C) uint8 arrays, each of its own H and W, all of the same C.
        device: where the pixels live and the crops are made.

    Raises:
        ShapeMismatch: if a picture is not (H, W, ``channels``) uint8.
    """

    def __init__(
        self, pictures: Sequence[NDArray[np.uint8]], *, channels: int = 3, device: str | torch.device = "cpu"
    ) -> None:
        for picture in pictures:
            if picture.ndim != 3 or picture.shape[2] != channels or picture.dtype != np.uint8:
                raise ShapeMismatch(
                    f"pictures must be (H, W, {channels}) uint8, not {picture.shape} {picture.dtype}"
                )
        self.channels = channels
        sizes = [picture.size for picture in pictures]
        flat = np.concatenate([p.reshape(-1) for p in pictures]) if pictures else np.empty(0, np.uint8)
        self._pixels = torch.from_numpy(flat).to(device)
        self._offsets = torch.tensor(np.cumsum([0, *sizes])[:-1], dtype=torch.int64, device=device)
        shapes = torch.tensor([p.shape[:2] for p in pictures], dtype=torch.int64).reshape(-1, 2)
        self.heights, self.widths = shapes[:, 0].to(device), shapes[:, 1].to(device)

    def __len__(self) -> int:
        return len(self._offsets)

    @property
    def device(self) -> torch.device:
        """Where the pixels live."""
        return self._pixels.device

    def crop(self, index: Tensor, top: Tensor, left: Tensor, size: int) -> Tensor:
        """Square crops, as float32 in [0, 1].

        Args:
            index: (N,) which picture; negative for none, which gives a crop of zeros.
            top: (N,) first row of each crop.
            left: (N,) first column of each crop.
            size: side of the crops; they must lie inside their pictures.

        Returns:
            (N, C, size, size).
        """
        if len(self) == 0:
            return torch.zeros((len(index), self.channels, size, size), device=self.device)
        chosen = index.clamp_min(0)
        side = torch.arange(size, device=self.device)
        rows = (top[:, None] + side) * self.widths[chosen][:, None]
        columns = left[:, None] + side
        pixels = (rows[:, :, None] + columns[:, None, :]) * self.channels + self._offsets[chosen][
            :, None, None
        ]
        channels = torch.arange(self.channels, device=self.device)
        positions = pixels[:, None] + channels[None, :, None, None]
        positions = torch.where((index >= 0)[:, None, None, None], positions, 0)
        crops = self._pixels[positions].float() / 255
        return crops * (index >= 0)[:, None, None, None]
