"""PyTorch as an engine: a checkpoint run without an export, on the devices that PyTorch knows."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal, TypeAlias, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from anyir.errors import EngineUnavailable, UsageError, reason
from anyir.files import sha256_of
from anyir.model.checkpoint import build_network, find_checkpoint, load_checkpoint
from anyir.model.inference_form import to_inference_form

TorchDevice: TypeAlias = Literal["auto", "cpu", "cuda", "mps"]
Precision: TypeAlias = Literal["auto", "float32", "bfloat16"]

_CALLED: Final = {"cpu": "the CPU", "cuda": "CUDA", "mps": "MPS"}


class TorchEngine:
    """A network from a checkpoint, in its inference form, run by PyTorch: an engine for :class:`anyir.Restorer`.

    In bfloat16 the convolutions and products are computed in it by autocast. The weights stay in float32, and so do
    the picture and its sum with the network's correction, which eight bits of mantissa would round to steps of 1/256.

    Args:
        weights: a checkpoint (``.safetensors``), or the name of one in the package ("anyir-s").
        device: "cpu", "cuda", "mps", or "auto": the first of CUDA and MPS that PyTorch can use, else the CPU.
        threads: CPU threads, of the whole process; ``None`` leaves PyTorch's choice.
        precision: "auto" is bfloat16 on a CUDA GPU that computes in it, float32 elsewhere. In float32, TF32 is off.

    Attributes:
        path: the file.
        provider: what really runs the network, e.g. "PyTorch on the CPU".
        device: the device that this is.
        chosen_because: why that one, as the rest of a sentence.
        precision: "float32" or "bfloat16".
        hardware: the GPU's name; ``None`` where there is none to name.
        threads: CPU threads that PyTorch uses.
        sha256: of the file, in hexadecimal.
        header: what the checkpoint says about itself.

    Raises:
        UsageError: unknown device or precision, or fewer than one thread.
        WeightsNotFound, WeightsDamaged: as :func:`anyir.model.checkpoint.load_checkpoint`.
        EngineUnavailable: a device was asked for and PyTorch has none.
    """

    def __init__(
        self,
        weights: str | Path,
        device: TorchDevice = "auto",
        threads: int | None = None,
        *,
        precision: Precision = "auto",
    ) -> None:
        for name, value, known in (("device", device, TorchDevice), ("precision", precision, Precision)):
            if value not in get_args(known):
                raise UsageError(f"{name} = {value!r}: must be one of {', '.join(get_args(known))}")
        if threads is not None and threads < 1:
            raise UsageError(f"threads = {threads}: must be at least 1")
        self.device, self.chosen_because = _choose(device)
        if threads is not None:
            torch.set_num_threads(threads)
        self.threads: Final = torch.get_num_threads()
        self.path: Final = find_checkpoint(str(weights))
        checkpoint = load_checkpoint(self.path)
        self.header: Final = checkpoint.header
        self.sha256: Final = sha256_of(self.path)
        self.precision: Final = _precision(self.device) if precision == "auto" else precision
        self.hardware: Final = torch.cuda.get_device_name() if self.device == "cuda" else None
        in_bfloat16 = " in bfloat16" if self.precision == "bfloat16" else ""
        self.provider: Final[str] = f"PyTorch on {_CALLED[self.device]}{in_bfloat16}"
        form = to_inference_form(build_network(checkpoint))
        self._network: Final = form.to(self.device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def __call__(self, batch: NDArray[np.float32], /) -> NDArray[np.float32]:
        """Run the network, see :class:`anyir.inference.Engine`.

        Raises:
            EngineUnavailable: if PyTorch cannot run it, for want of memory for example.
        """
        try:
            with torch.inference_mode(), _arithmetic(self.device, self.precision):
                degraded = torch.from_numpy(np.ascontiguousarray(batch)).to(self.device)
                restored = self._network(degraded.to(memory_format=torch.channels_last))
                return restored.float().contiguous().cpu().numpy()
        except (RuntimeError, MemoryError) as error:
            height, width = batch.shape[2:]
            raise EngineUnavailable(
                f"{self.path.name} failed on a tile of {width}x{height} pixels ({self.provider}): "
                f"{reason(error)}; try a smaller tile or the device 'cpu'"
            ) from error


def _choose(device: TorchDevice) -> tuple[str, str]:
    """The device to run on, and why.

    Raises:
        EngineUnavailable: it was asked for and is not there.
    """
    absent = _absent()
    if device == "auto":
        chosen = next((name for name in ("cuda", "mps") if name not in absent), "cpu")
        if chosen == "cpu":
            return chosen, "; ".join(absent.values())
        return chosen, f"PyTorch can use {torch.cuda.get_device_name() if chosen == 'cuda' else 'Metal'}"
    if device in absent:
        there = ", ".join(name for name in ("cuda", "mps", "cpu") if name not in absent)
        raise EngineUnavailable(
            f"device {device!r} is not available: {absent[device]}; install a PyTorch made for it "
            f"(pytorch.org says how), or use what there is: {there}"
        )
    return device, "it was asked for"


def _absent() -> dict[str, str]:
    """The devices that PyTorch cannot use, and why not."""
    absent: dict[str, str] = {}
    if not torch.cuda.is_available():
        built = torch.backends.cuda.is_built()
        absent["cuda"] = "PyTorch finds no CUDA GPU" if built else "this PyTorch is built without CUDA"
    if not torch.backends.mps.is_available():
        built = torch.backends.mps.is_built()
        absent["mps"] = "PyTorch finds no Metal GPU" if built else "this PyTorch is built without MPS"
    return absent


def _precision(device: str) -> Literal["float32", "bfloat16"]:
    """What "auto" stands for. Older GPUs emulate bfloat16, which is slower than float32 and no more exact."""
    fast = device == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bfloat16" if fast else "float32"


@contextmanager
def _arithmetic(device: str, precision: str) -> Generator[None]:
    """Compute in this precision."""
    if precision == "bfloat16":
        with torch.autocast(device, torch.bfloat16):
            yield
    elif device == "cuda":
        # On recent GPUs PyTorch would convolve with 10-bit mantissas (TF32), and call that single precision.
        cudnn = torch.backends.cudnn
        with cudnn.flags(enabled=cudnn.enabled, allow_tf32=False):
            yield
    else:
        yield
