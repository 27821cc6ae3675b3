"""Pictures that stay in their files: what a :class:`PictureStore` does, for sets that no memory holds."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anyir.data.crops import centre, centre_size
from anyir.errors import DataError
from anyir.picture import read_size


class FileStore:
    """Pictures of which only the sizes are kept: each is read, whole, whenever something is cut from it.

    Crops have the very bits of :class:`PictureStore`'s. They are made on the CPU.

    Args:
        paths: the files; their headers are read here, on all cores.
        read: from a path to its (H, W, ``channels``) uint8 array.
        multiple: of each picture the centre is taken, its sides cut to multiples of this.
        channels: C.

    Raises:
        PictureError: a file's header cannot be read; the message names it.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        read: Callable[[Path], NDArray[np.uint8]],
        multiple: int = 1,
        *,
        channels: int = 3,
    ) -> None:
        self.channels = channels
        self._paths, self._read, self._multiple = tuple(paths), read, multiple
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            sizes = [centre_size(*size, multiple) for size in pool.map(read_size, self._paths)]
        self.heights, self.widths = torch.tensor(sizes, dtype=torch.int64).reshape(-1, 2).unbind(1)
        self.device = torch.device("cpu")

    def __len__(self) -> int:
        return len(self._paths)

    def crop(self, index: Tensor, top: Tensor, left: Tensor, size: int) -> Tensor:
        """Square crops, as :meth:`PictureStore.crop` makes them; a picture is read once, however many it gives.

        Raises:
            PictureError: a file is damaged; the message names it.
            DataError: a picture is not of the size that its header told at the start.
        """
        crops = torch.zeros((len(index), self.channels, size, size))
        for number in sorted(set(index.tolist()) - {-1}):
            image = self._picture(number)
            for place in (index == number).nonzero().flatten().tolist():
                y, x = int(top[place]), int(left[place])
                cut = np.ascontiguousarray(image[y : y + size, x : x + size].transpose(2, 0, 1))
                crops[place] = torch.from_numpy(cut).float() / 255
        return crops

    def _picture(self, number: int) -> NDArray[np.uint8]:
        path = self._paths[number]
        image = centre(self._read(path), self._multiple)
        expected = (int(self.heights[number]), int(self.widths[number]))
        if image.shape[:2] != expected:
            raise DataError(
                f"{path}: is now of the size {image.shape[:2]}, and was {expected} (height, width, cut to multiples of "
                f"{self._multiple}) when training began; leave the pictures alone until it ends"
            )
        return image
