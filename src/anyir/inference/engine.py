"""Engines: what runs a network. The default is ONNX Runtime, which needs no training library."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any, Final, Protocol, get_args, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from anyir.errors import EngineUnavailable, UsageError, WeightsDamaged, WeightsNotFound, reason
from anyir.inference.onnx_session import Device, open_session
from anyir.inference.weights import WeightsFile

_CGROUP: Final = Path("/sys/fs/cgroup")


class Engine(Protocol):
    """Runs a network: a batch of degraded images → the batch restored.

    Attributes:
        provider: what really runs it, e.g. "CPUExecutionProvider".
    """

    @property
    def provider(self) -> str:
        """What really runs the network."""
        ...

    def __call__(self, batch: NDArray[np.float32], /) -> NDArray[np.float32]:
        """(N, 3, H, W) RGB in [0, 1], H and W multiples of 8 from 16 up → the same shape, not clipped."""
        ...


@runtime_checkable
class DescribedEngine(Engine, Protocol):
    """An engine that also says what is recorded of it; ours do, one of the user's need not.

    Attributes:
        device: where it runs: "cpu", "cuda", ...
        chosen_because: why there, as the rest of a sentence.
        sha256: of the weights' file, in hexadecimal.
    """

    @property
    def device(self) -> str:
        """Where it runs."""
        ...

    @property
    def chosen_because(self) -> str:
        """Why it runs there."""
        ...

    @property
    def sha256(self) -> str:
        """Of the weights' file, in hexadecimal."""
        ...


class OnnxEngine:
    """A network in an ONNX file, run by ONNX Runtime.

    Any restorer with one float32 input (N, 3, H, W) and one such output of the same size will do, anyir's own
    or not.

    Args:
        path: the ONNX file.
        device: "cpu", "cuda", "directml", "coreml", or "auto": CUDA or DirectML where ONNX Runtime can use it, else
            the CPU.
        threads: CPU threads; ``None``: as many as :func:`usable_cores`.

    Attributes:
        path: the file.
        provider: the ONNX Runtime provider that the session really uses.
        device: the device that this is.
        chosen_because: why that one, as the rest of a sentence.
        header: what the file says about itself (``metadata_props["anyir"]``); empty for a foreign model.

    Raises:
        UsageError: unknown device, or fewer than one thread.
        WeightsNotFound: there is no such file.
        WeightsDamaged: the file is not a restorer that ONNX Runtime can load.
        EngineUnavailable: a device was asked for and cannot be had, or ONNX Runtime itself cannot be loaded.
    """

    def __init__(self, path: str | Path, device: Device = "auto", threads: int | None = None) -> None:
        if device not in get_args(Device):
            raise UsageError(f"device = {device!r}: must be one of {', '.join(get_args(Device))}")
        if threads is not None and threads < 1:
            raise UsageError(f"threads = {threads}: must be at least 1")
        self.path: Final = Path(path)
        if not os.path.isfile(self.path):
            raise WeightsNotFound(f"{self.path}: no such file; give the path of an ONNX model")
        opened = open_session(self.path, device, threads or usable_cores())
        self._session: Final = opened.session
        self.device: Final = opened.device
        self.chosen_because: Final = opened.because
        self._input, self._output = _check_interface(self.path, self._session)
        self.provider: Final[str] = self._session.get_providers()[0]
        self.header: Final = _read_header(self.path, self._session)

    @property
    def sha256(self) -> str:
        """Of the file as it is now, in hexadecimal.

        Raises:
            WeightsNotFound: it cannot be read any more.
        """
        return WeightsFile(self.path.stem, self.path, None).sha256()

    def __call__(self, batch: NDArray[np.float32], /) -> NDArray[np.float32]:
        """Run the network, see :class:`Engine`.

        Raises:
            EngineUnavailable: if ONNX Runtime cannot run it, for want of memory for example.
        """
        try:
            return self._session.run([self._output], {self._input: batch})[0]
        except Exception as error:  # ONNX Runtime's exceptions have no base of their own
            height, width = batch.shape[2:]
            raise EngineUnavailable(
                f"{self.path.name} failed on a tile of {width}x{height} pixels ({self.provider}): "
                f"{reason(error)}; try a smaller tile or the device 'cpu'"
            ) from error


def usable_cores() -> int:
    """Processor cores that this process may use, by its affinity and its container's quota: at least 1."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        cores = os.cpu_count() or 1
    return max(1, math.ceil(min(cores, _quota_cores(_CGROUP))))


def _quota_cores(cgroup: Path) -> float:
    """Cores' worth of time that the control group under ``cgroup`` grants; infinite if it sets no limit."""
    try:
        if (cgroup / "cpu.max").is_file():  # version 2: "max 100000" or "150000 100000"
            quota, period = (cgroup / "cpu.max").read_text().split()
        else:  # version 1: -1 for no limit
            quota = (cgroup / "cpu" / "cpu.cfs_quota_us").read_text()
            period = (cgroup / "cpu" / "cpu.cfs_period_us").read_text()
        return float(quota) / float(period) if float(quota) > 0 else math.inf
    except (OSError, ValueError):
        return math.inf


def _check_interface(path: Path, session: Any) -> tuple[str, str]:  # noqa: ANN401
    """Names of the one input and the one output.

    Raises:
        WeightsDamaged: if there are others, or they are not float32 (N, 3, any H, any W).
    """
    ends = session.get_inputs(), session.get_outputs()
    for kind, values in zip(("input", "output"), ends, strict=True):
        if len(values) != 1:
            raise WeightsDamaged(f"{path}: not a restorer: {len(values)} {kind}s where one is expected")
        shape, element = list(values[0].shape), values[0].type
        if element != "tensor(float)" or len(shape) != 4:
            raise WeightsDamaged(
                f"{path}: not a restorer: its {kind} is {element} {shape}, not float (N, 3, H, W)"
            )
        if isinstance(shape[1], int) and shape[1] != 3:
            raise WeightsDamaged(f"{path}: not an RGB restorer: its {kind} has {shape[1]} channels, not 3")
        if isinstance(shape[0], int) and shape[0] != 1:
            raise WeightsDamaged(f"{path}: takes batches of {shape[0]} only; export it with a batch of 1")
        if any(isinstance(side, int) for side in shape[2:]):
            raise WeightsDamaged(
                f"{path}: its {kind} is fixed at {shape[3]}x{shape[2]} pixels; "
                "export it with dynamic height and width"
            )
    return ends[0][0].name, ends[1][0].name


def _read_header(path: Path, session: Any) -> dict[str, Any]:  # noqa: ANN401
    text = session.get_modelmeta().custom_metadata_map.get("anyir")
    if text is None:
        return {}
    try:
        header = json.loads(text)
    except ValueError as error:
        raise WeightsDamaged(f"{path}: its header is not JSON ({error}); get the file again") from error
    if not isinstance(header, dict):
        raise WeightsDamaged(f"{path}: its header is not a JSON object; get the file again")
    return header
