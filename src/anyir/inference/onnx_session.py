"""Sessions of ONNX Runtime: on the device asked for or not at all, or on the best that starts; and why on that one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

from anyir.errors import EngineUnavailable, WeightsDamaged, reason

Device: TypeAlias = Literal["auto", "cpu", "cuda", "directml", "coreml"]

CPU: Final = "CPUExecutionProvider"

_ASKED: Final = "it was asked for"
_FATAL: Final = 4  # ONNX Runtime's log severity; all that matters below it also comes as an exception


@dataclass(frozen=True)
class Accelerator:
    """A device beside the CPU.

    Attributes:
        provider: what ONNX Runtime calls it.
        remedy: how to get it.
        options: of the provider, by the names that ONNX Runtime gives them.
        in_auto: whether "auto" tries it.
    """

    provider: str
    remedy: str
    options: Mapping[str, str] = field(default_factory=dict[str, str])
    in_auto: bool = True


ACCELERATORS: Final[Mapping[str, Accelerator]] = MappingProxyType(
    {
        "cuda": Accelerator(
            "CUDAExecutionProvider",
            "install onnxruntime-gpu in place of onnxruntime, with the CUDA version it needs",
            {
                "use_tf32": "0"
            },  # by default it convolves with 10-bit mantissas, and calls that single precision
        ),
        "directml": Accelerator(
            "DmlExecutionProvider", "install onnxruntime-directml in place of onnxruntime, on Windows"
        ),
        # Every package for macOS has it, so that it is there says nothing of what its owner wants; and it leaves
        # what it cannot do to the CPU, piece by piece. Whoever wants it asks for it.
        "coreml": Accelerator(
            "CoreMLExecutionProvider", "install onnxruntime on macOS, where it is included", in_auto=False
        ),
    }
)
"""By the name of the device, in the order in which "auto" tries them."""


@dataclass(frozen=True)
class Opened:
    """A session that is ready to run.

    Attributes:
        session: ONNX Runtime's.
        device: where it runs: "cpu" or one of :data:`ACCELERATORS`.
        because: why there, as the rest of a sentence.
    """

    session: Any
    device: str
    because: str


def open_session(path: Path, device: Device, threads: int) -> Opened:
    """Open a model on a device; the CPU helps out where an accelerator lacks an operation.

    That a provider is announced does not mean that it starts, and ONNX Runtime then drops it from the session. So what
    counts is the provider that the session names first.

    Args:
        path: an ONNX file that is there.
        device: "auto": the first accelerator that starts, else the CPU.
        threads: of the CPU.

    Raises:
        WeightsDamaged: ONNX Runtime cannot load the file.
        EngineUnavailable: the device that was asked for cannot be had, or ONNX Runtime itself cannot be loaded.
    """
    runtime = _load_runtime()
    options = _options(runtime, threads)
    there = runtime.get_available_providers()
    problems: dict[str, str] = {}
    for name in _tried(device):
        accelerator = ACCELERATORS[name]
        provider = accelerator.provider
        if provider not in there:
            continue
        try:
            session = _start(runtime, path, options, (provider, dict(accelerator.options)), CPU)
        except (
            Exception
        ) as error:  # no base of their own; whether device or file is at fault, the CPU will tell
            problems[name] = f"ONNX Runtime could not start it ({reason(error)})"
            continue
        if session.get_providers()[0] == provider:
            return Opened(
                session, name, _ASKED if device == name else _in_words(problems, f"{provider} started")
            )
        problems[name] = f"ONNX Runtime dropped {provider}, whose libraries it could not load"
    try:
        session = _start(runtime, path, options, CPU)
    except Exception as error:
        raise WeightsDamaged(
            f"{path}: not an ONNX model that ONNX Runtime can load ({reason(error)}); "
            "get the file again, or make one with: anyir export"
        ) from error
    if device in ACCELERATORS:
        raise EngineUnavailable(_refusal(device, problems.get(device), there))
    return Opened(session, "cpu", _ASKED if device == "cpu" else _why_cpu(problems, there))


def _load_runtime() -> Any:  # noqa: ANN401 - ONNX Runtime is untyped
    try:
        import onnxruntime  # here, not above: loading it takes longer than `anyir --help` may
    except ImportError as error:
        raise EngineUnavailable(
            f"ONNX Runtime cannot be loaded ({reason(error)}); reinstall it with: pip install "
            "--force-reinstall onnxruntime (on Windows it needs the Microsoft Visual C++ Redistributable)"
        ) from error
    onnxruntime.set_default_logger_severity(_FATAL)
    return onnxruntime


def _options(runtime: Any, threads: int) -> Any:  # noqa: ANN401
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1  # the network is one chain: parallel branches would fight over the cores
    # From the second run of a shape on, a pattern takes one block for everything beside what is held already: half
    # as much memory again for every size of tile, and no time saved. DirectML cannot do with it at all.
    options.enable_mem_pattern = False
    # Between two tiles the threads would keep the cores, waiting in a loop, from what blends and encodes there.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


def _start(runtime: Any, path: Path, options: Any, *providers: str | tuple[str, dict[str, str]]) -> Any:  # noqa: ANN401
    # Its own fallback would print, and change the provider behind our back in the middle of a run.
    return runtime.InferenceSession(
        str(path), sess_options=options, providers=list(providers), enable_fallback=0
    )


def _tried(device: Device) -> list[str]:
    if device == "auto":
        return [name for name, accelerator in ACCELERATORS.items() if accelerator.in_auto]
    return [device] if device in ACCELERATORS else []


def _refusal(device: str, problem: str | None, there: Sequence[str]) -> str:
    accelerator = ACCELERATORS[device]
    others = [name for name, each in ACCELERATORS.items() if each.provider in there and name != device]
    return (
        f"device {device!r} is not available: "
        f"{problem or f'this ONNX Runtime has no {accelerator.provider}'}; {accelerator.remedy}, "
        f"or use what there is: {', '.join([*others, 'cpu'])}"
    )


def _why_cpu(problems: Mapping[str, str], there: Sequence[str]) -> str:
    if problems:
        return _in_words(problems)
    unasked = [name for name, each in ACCELERATORS.items() if each.provider in there and not each.in_auto]
    if unasked:
        return (
            f"this ONNX Runtime has no provider for a GPU that anyir uses but {', '.join(unasked)}, "
            "which must be asked for"
        )
    return "this ONNX Runtime has no provider for a GPU that anyir uses"


def _in_words(problems: Mapping[str, str], *more: str) -> str:
    return "; ".join([*(f"{name} is not available: {problem}" for name, problem in problems.items()), *more])
