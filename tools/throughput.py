"""Measure how fast networks train on the machine at hand: what ``anyir train --dry-run`` measures, as a table.

    python tools/throughput.py --data DIR [--device cuda] [--set loading="files"]

Each line is a process of its own, so that its memory is its own. On a CPU networks train in single precision; on CUDA
also in mixed precision, and with torch.compile too. Writes results/throughput/DEVICE.json and DEVICE.md.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import torch

from anyir.errors import AnyirError
from anyir.evaluation.machine import machine
from anyir.files import make_folder, write_atomically
from anyir.training.distributed import Processes
from anyir.training.loop import choose_device, device_name
from anyir.training.plan import plan_training, to_json
from anyir.training.provenance import sitting
from anyir.training.recipe import load_recipe

ROOT: Final = Path(__file__).resolve().parents[1]

MODES: Final = {"fp32": ("float32", False), "bf16": ("bfloat16", False), "bf16 + compile": ("bfloat16", True)}
"""Name → precision, and whether the network is compiled."""

UTILISATION_EVERY: Final = 0.5
"""Seconds between two questions to nvidia-smi."""


@dataclass(frozen=True)
class Trial:
    """What one process measures.

    Attributes:
        network: its name.
        mode: of :data:`MODES`.
        patch: side of the patches.
        batch: samples a step.
    """

    network: str
    mode: str
    patch: int
    batch: int

    @property
    def changes(self) -> list[str]:
        """To a recipe, so that it trains so: one stage, and nothing that would be measured beside it."""
        precision, compiled = MODES[self.mode]
        return [
            f"network={self.network}",
            f"precision={precision}",
            f"compile={str(compiled).lower()}",
            f"stages=[{{until=1, patch={self.patch}, batch={self.batch}}}]",
            "validation.hold_out_every=0",
            "test_pictures=allow",
        ]


def measure(trial: Trial, arguments: argparse.Namespace) -> dict[str, Any]:
    """In this process: a dry run's own measurement, in plain values."""
    recipe = load_recipe(arguments.recipe, [*trial.changes, *arguments.changes])
    with tempfile.TemporaryDirectory() as folder:
        plan = to_json(
            plan_training(
                recipe,
                arguments.data,
                Path(folder) / "run",
                device=arguments.device,
                timed_steps=arguments.steps,
            )
        )
    (stage,) = plan["stages"]
    kept = ("step_seconds", "samples_per_second", "data_per_second", "gpu_bytes")
    return {
        "parameters": plan["parameters"],
        **{key: stage[key] for key in kept},
        # What a step would take if it were nothing but the making of its batch, as a share of what it takes.
        "data_share": 1 / plan["data_ratio"],
        "resident_bytes": plan["peak_bytes"],
    }


def in_a_process(trial: Trial, given: list[str], gpu: int | None) -> dict[str, Any]:
    """The same in a process of its own, with this command's arguments; ``error`` where that fails.

    Args:
        trial: what to measure.
        given: the arguments of this command.
        gpu: whose utilisation is watched meanwhile; None for none.
    """
    command = [sys.executable, __file__, *given, "--measure", json.dumps(asdict(trial))]
    values: dict[str, Any] = asdict(trial)
    with Utilisation(gpu) as utilisation:
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return {**values, "error": lines[-1]}
    return {**values, **json.loads(done.stdout.splitlines()[-1]), "gpu_utilisation": utilisation.median}


class Utilisation:
    """What nvidia-smi says of a GPU while something else runs. A context manager.

    Attributes:
        median: of the samples in which the GPU worked at all, 0 to 1: before and after training it does not. None
            without nvidia-smi, or without such a sample.
    """

    def __init__(self, gpu: int | None) -> None:
        self.median: float | None = None
        self._gpu, self._over, self._samples = gpu, threading.Event(), list[float]()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Utilisation:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()
        working = [each for each in self._samples if each > 0]
        self.median = statistics.median(working) / 100 if working else None

    def _watch(self) -> None:
        if self._gpu is None or shutil.which("nvidia-smi") is None:
            return
        query = ("--query-gpu=utilization.gpu", "--format=csv,noheader,nounits")
        while not self._over.wait(UTILISATION_EVERY):
            done = subprocess.run(["nvidia-smi", f"--id={self._gpu}", *query], capture_output=True, text=True)
            if done.returncode or not done.stdout.strip().isdigit():
                return
            self._samples.append(float(done.stdout))


def markdown(result: dict[str, Any]) -> str:
    """The table, and what it was measured with."""
    with_ = result["with"]
    lines = [
        f"# Training throughput: {result['device']}",
        "",
        "| network | batch | patch | mode | samples/s | a step | data alone, samples/s | its share of a step "
        "| GPU memory | GPU at work | resident |",
        "|---|---:|---:|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in result["measurements"]:
        start = f"| {row['network']} | {row['batch']} | {row['patch']} | {row['mode']} |"
        if "error" in row:
            lines.append(f"{start} failed: {row['error']} |" + " |" * 6)
            continue
        cells = (
            f"{row['samples_per_second']:.3g}",
            f"{1000 * row['step_seconds']:.0f} ms",
            f"{row['data_per_second']:.3g}",
            f"{row['data_share']:.1%}",
            _gigabytes(row["gpu_bytes"]),
            "–" if row["gpu_utilisation"] is None else f"{row['gpu_utilisation']:.0%}",
            _gigabytes(row["resident_bytes"]),
        )
        lines.append(f"{start} {' | '.join(cells)} |")
    commit = with_["commit"]
    lines += [
        "",
        f"Each line is the mean of {result['steps']} steps after a first one, or of as many as fit 20 s, with their "
        "batches, in a process of its own. Data alone: batches are made and nothing is trained.",
        "",
        f"{result['processor']}, {with_['cpus']} processors; Python {with_['python']}, PyTorch {with_['torch']}, "
        f"anyir {with_['anyir']}"
        + (f" ({commit['hash'][:12]})" if commit else "")
        + f"; {with_['started']}.",
        "",
        "```sh",
        result["command"],
        "```",
        "",
    ]
    return "\n".join(lines)


def _gigabytes(number: int | None) -> str:
    return "–" if number is None else f"{number / 1e9:.2f} GB"


def parse(given: list[str]) -> argparse.Namespace:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, type=Path, help="folder of the training pictures")
    parser.add_argument("--recipe", default="anyir", help="whose mixture of tasks (%(default)s)")
    parser.add_argument("--networks", nargs="+", default=["anyir-s", "anyir"])
    parser.add_argument("--batches", nargs="+", type=int, default=[16, 64])
    parser.add_argument("--patch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=50, help="timed, at most 20 s of them (%(default)s)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--set", action="append", default=[], dest="changes", metavar="KEY=VALUE")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "results" / "throughput")
    parser.add_argument("--measure", help=argparse.SUPPRESS)  # a Trial: this is one of the processes
    return parser.parse_args(given)


def main(given: list[str]) -> None:
    """Exits with 1 if nothing could be measured."""
    arguments = parse(given)
    try:
        if arguments.measure is not None:
            sys.stdout.write(json.dumps(measure(Trial(**json.loads(arguments.measure)), arguments)))
            return
        place = choose_device(arguments.device, Processes())
    except AnyirError as error:
        sys.exit(str(error))
    modes = MODES if place.type == "cuda" else ("fp32",)
    trials = [
        Trial(network, mode, arguments.patch, batch)
        for network in arguments.networks
        for batch in arguments.batches
        for mode in modes
    ]
    rows: list[dict[str, Any]] = []
    for trial in trials:
        rows.append(in_a_process(trial, given, place.index if place.type == "cuda" else None))
        sys.stderr.write(f"{json.dumps(rows[-1])}\n")  # long before the last
    about = sitting(arguments.recipe, (), place, 1)
    processor = machine()["processor"]
    device = (
        torch.cuda.get_device_name(place)
        if place.type == "cuda"
        else f"{processor}, {device_name(place, Processes())}"
    )
    result = {
        "anyir_throughput": 1,
        "device": device,
        "processor": processor,
        "command": shlex.join(("python", "tools/throughput.py", *given)),
        "recipe": arguments.recipe,
        "changes": arguments.changes,
        "steps": arguments.steps,
        "with": {key: about[key] for key in about if key not in ("command", "data", "processes", "recipe")},
        "measurements": rows,
    }
    name = re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-")
    make_folder(arguments.output)
    write_atomically(arguments.output / f"{name}.json", (json.dumps(result, indent=1) + "\n").encode())
    write_atomically(arguments.output / f"{name}.md", markdown(result).encode())
    sys.exit(all("error" in row for row in rows))


if __name__ == "__main__":
    main(sys.argv[1:])
