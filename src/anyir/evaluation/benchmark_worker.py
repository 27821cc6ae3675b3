"""One measurement of a benchmark, in a process that does nothing else: asked in JSON, answered in JSON.

``network``: one case, warmed up once and then run for :data:`SECONDS`, at least :data:`RUNS` times where that takes
less than :data:`PATIENCE`. ``matrix``: the machine's matrix product. ``photo``: a whole photograph.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, cast

from anyir.errors import AnyirError, reason

SECONDS: Final = 1.5
RUNS: Final = 3
PATIENCE: Final = 20.0

MATRIX: Final = {"cpu": 2048, "cuda": 8192}
"""Side of the square matrices whose product is timed."""


def answer(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Do what is asked, in this process, which should have done nothing else yet.

    Raises:
        KeyError: nothing of that kind can be asked.
    """
    return {"matrix": _matrix, "network": _network, "photo": _photo}[asked["do"]](asked)


def timed(run: Callable[[], object]) -> list[float]:
    """Seconds of each of several runs."""
    seconds: list[float] = []
    while sum(seconds) < SECONDS or (len(seconds) < RUNS and sum(seconds) < PATIENCE):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return seconds


def _network(asked: Mapping[str, Any]) -> dict[str, Any]:
    import numpy as np

    from anyir.inference import usable_cores

    way, threads = asked["way"], asked["threads"] or usable_cores()
    shape = (asked["batch"], 3, asked["size"], asked["size"])
    batch = np.random.default_rng(0).random(shape, dtype=np.float32)
    prepare = {"torch": _torch_run, "onnx": _onnx_run}[way["engine"]]
    run, provider, taken = prepare(way, batch, asked["device"], threads)
    result = run()
    if asked["result"] is not None:
        np.ascontiguousarray(result, np.float32).tofile(asked["result"])
    seconds = timed(run)
    return {"seconds": seconds, "provider": provider, "peak_bytes": taken()}


def _onnx_run(way: Mapping[str, Any], batch: Any, device: str, threads: int) -> Any:  # noqa: ANN401
    """What runs it, what it runs on, and what tells its memory."""
    import onnxruntime  # noqa: F401  # pyright: ignore[reportUnusedImport] - before the memory is looked at

    from anyir.evaluation.peak_memory import memory_taken
    from anyir.inference import OnnxEngine

    taken = memory_taken()
    engine = OnnxEngine(way["path"], cast(Any, device), threads)
    elsewhere = engine.provider != "CPUExecutionProvider"  # where ONNX Runtime does not tell what it takes
    return lambda: engine(batch), engine.provider, (lambda: None) if elsewhere else taken


def _torch_run(way: Mapping[str, Any], batch: Any, device: str, threads: int) -> Any:  # noqa: ANN401
    """As :func:`_onnx_run`. On CUDA the pictures are on the device already, and a run ends when its result is there."""
    import torch

    from anyir.errors import EngineUnavailable
    from anyir.evaluation.peak_memory import memory_taken
    from anyir.model.checkpoint import build_network, load_checkpoint

    if device == "cuda" and not torch.cuda.is_available():
        raise EngineUnavailable("device 'cuda' is not available to PyTorch here")
    torch.set_num_threads(threads)
    place = torch.device(device)
    taken = memory_taken()
    layout = torch.channels_last if way["channels_last"] else torch.contiguous_format
    network = build_network(load_checkpoint(Path(way["path"]))).eval().requires_grad_(False)
    precision = cast(torch.dtype, getattr(torch, way["precision"]))
    network = network.to(place, precision, memory_format=layout)  # pyright: ignore[reportCallIssue, reportArgumentType]
    compute = cast(Callable[..., Any], torch.compile(network) if way["compiled"] else network)
    degraded = torch.from_numpy(batch).to(place, precision).contiguous(memory_format=layout)
    torch.backends.cudnn.allow_tf32 = False  # or "float32" would be something else on recent GPUs

    def run() -> Any:  # noqa: ANN401
        with torch.inference_mode():
            restored = compute(degraded)
            if place.type == "cuda":
                torch.cuda.synchronize()
                return restored.float().cpu().numpy()
            return restored.float().numpy()

    if place.type == "cuda":
        return run, f"PyTorch on {torch.cuda.get_device_name(place)}", torch.cuda.max_memory_allocated
    return run, "PyTorch on the CPU", taken


def _matrix(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Operations a second of a matrix product, by precision."""
    if asked["device"] == "cuda":
        return {"rates": _cuda_rates()}
    import numpy as np

    side = MATRIX["cpu"]
    first, second = np.random.default_rng(0).random((2, side, side), dtype=np.float32)
    np.matmul(first, second)
    return {"rates": {"float32": 2 * side**3 / min(timed(lambda: first @ second))}}


def _cuda_rates() -> dict[str, float]:
    """Nothing without PyTorch, by which it is measured."""
    if find_spec("torch") is None:
        return {}
    import torch

    side, rates = MATRIX["cuda"], dict[str, float]()
    for precision in ("float32", "bfloat16"):
        matrix = torch.rand(side, side, device="cuda", dtype=getattr(torch, precision))

        def product(matrix: torch.Tensor = matrix) -> None:
            torch.mm(matrix, matrix)
            torch.cuda.synchronize()

        product()
        rates[precision] = 2 * side**3 / min(timed(product))
    return rates


def _photo(asked: Mapping[str, Any]) -> dict[str, Any]:
    from anyir.evaluation.peak_memory import STATUS, status_bytes
    from anyir.inference import Restorer
    from anyir.picture import read, write

    path = Path(asked["path"])
    restorer = Restorer(asked["weights"], device=asked["device"], threads=asked["threads"])
    start = time.perf_counter()
    degraded = read(path)
    read_at = time.perf_counter()
    first: list[float] = []
    tiles = 0

    def on_tile(done: int, total: int) -> None:
        nonlocal tiles
        tiles = total
        if done == 1:
            first.append(time.time() - asked["started"])

    restored = restorer(degraded, on_tile=on_tile)
    del degraded  # as anyir restore does
    restored_at = time.perf_counter()
    write(restored, path.with_name(f"{path.stem}.restored.jpg"), overwrite=True)
    written_at = time.perf_counter()
    return {
        "tiles": tiles,
        "read_seconds": read_at - start,
        "restore_seconds": restored_at - read_at,
        "write_seconds": written_at - restored_at,
        "first_seconds": first[0],
        "peak_bytes": status_bytes("VmHWM") if STATUS.is_file() else None,
    }


def main() -> None:
    """Answer what the first argument asks, on the last line of the standard output."""
    asked = json.loads(sys.argv[1])
    if asked["threads"] is not None:  # before NumPy is loaded, whose library counts processors itself
        os.environ["OPENBLAS_NUM_THREADS"] = str(asked["threads"])
    try:
        found = answer(asked)
    except (AnyirError, MemoryError, RuntimeError) as error:
        found = {"error": reason(error)}
    sys.stdout.write(f"{json.dumps(found)}\n")


if __name__ == "__main__":
    main()
