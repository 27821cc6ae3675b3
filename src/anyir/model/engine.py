"""PyTorch as an engine: a checkpoint run as it was trained, without an export."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Final, Literal, TypeAlias, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from anyir.errors import EngineUnavailable, UsageError, reason
from anyir.model.checkpoint import build_network, load_checkpoint

TorchDevice: TypeAlias = Literal["auto", "cpu", "cuda"]


class TorchEngine:
    """A network from a checkpoint, run by PyTorch in single precision: an engine for :class:`anyir.Restorer`.

    Args:
        path: the checkpoint (``.safetensors``).
        device: "cpu", "cuda", or "auto": CUDA where PyTorch can use it, else the CPU.
        threads: CPU threads, of the whole process; ``None`` leaves PyTorch's choice.

    Attributes:
        path: the file.
        provider: what really runs the network, e.g. "PyTorch on the CPU".
        threads: CPU threads that PyTorch uses.
        header: what the checkpoint says about itself.

    Raises:
        UsageError: unknown device, or fewer than one thread.
        WeightsNotFound, WeightsDamaged: as :func:`anyir.model.checkpoint.load_checkpoint`.
        EngineUnavailable: "cuda" was asked for and PyTorch has none.
    """

    def __init__(self, path: str | Path, device: TorchDevice = "auto", threads: int | None = None) -> None:
        if device not in get_args(TorchDevice):
            raise UsageError(f"device = {device!r}: must be one of {', '.join(get_args(TorchDevice))}")
        if threads is not None and threads < 1:
            raise UsageError(f"threads = {threads}: must be at least 1")
        cuda = torch.cuda.is_available()
        if device == "cuda" and not cuda:
            raise EngineUnavailable("device 'cuda' is not available to PyTorch here; use the device 'cpu'")
        if threads is not None:
            torch.set_num_threads(threads)
        self.threads: Final = torch.get_num_threads()
        self.path: Final = Path(path)
        checkpoint = load_checkpoint(self.path)
        self.header: Final = checkpoint.header
        self._place: Final = torch.device("cuda" if cuda and device != "cpu" else "cpu")
        network = build_network(checkpoint).to(self._place, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self._network: Final = network.eval().requires_grad_(False)
        name = "the CPU" if self._place.type == "cpu" else torch.cuda.get_device_name(self._place)
        self.provider: Final[str] = f"PyTorch on {name}"

    def __call__(self, batch: NDArray[np.float32], /) -> NDArray[np.float32]:
        """Run the network, see :class:`anyir.inference.Engine`.

        Raises:
            EngineUnavailable: if PyTorch cannot run it, for want of memory for example.
        """
        # On recent GPUs PyTorch would convolve with 10-bit mantissas (TF32), and call that single precision.
        cudnn = torch.backends.cudnn
        exact = (
            cudnn.flags(enabled=cudnn.enabled, allow_tf32=False)
            if self._place.type == "cuda"
            else nullcontext()
        )
        try:
            with torch.inference_mode(), exact:
                degraded = torch.from_numpy(np.ascontiguousarray(batch)).to(self._place)
                restored = self._network(degraded.to(memory_format=torch.channels_last))
                return restored.contiguous().cpu().numpy()
        except (RuntimeError, MemoryError) as error:
            height, width = batch.shape[2:]
            raise EngineUnavailable(
                f"{self.path.name} failed on a tile of {width}x{height} pixels ({self.provider}): "
                f"{reason(error)}; try a smaller tile or the device 'cpu'"
            ) from error
