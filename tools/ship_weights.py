"""Put the weights of a finished run into the package: export, evaluate, and write everything that quotes them.

    python tools/ship_weights.py RUN/model.safetensors --data DIR

Writes src/anyir/weights/NAME.onnx and NAME.safetensors, models.json, results/NAME and, of the default weights,
results/NAME-best, what README and docs quote of them, and the figure of the samples; NAME is the network's.
tools/guard_study.py writes results/guard.
Look at ``git diff results README.md`` before you commit: weights are replaced only where the evaluation says that they
are better.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Final

import torch
from make_model_facts import DEFAULT, RESULTS, ROOT, WEIGHTS, committed_results
from make_readme_results import main as make_readme_results

from anyir.files import write_atomically
from anyir.inference.weights import weights_folder
from anyir.model.checkpoint import load_checkpoint, save_checkpoint
from anyir.model.export import export_onnx
from anyir.model.facts import facts_text

SETS_OF_BEST: Final = ("cbsd68-25", "rain100l", "haze-partial", "lolv1", "clean")
"""On which ``--quality best`` is measured, in four times the time: a set of each kind that it does something for."""


def main() -> None:
    """Exits with the evaluation's code where that fails; the old weights then lie in git."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path, help="RUN/model.safetensors")
    parser.add_argument("--data", required=True, type=Path, help="folder of the test sets")
    arguments = parser.parse_args()
    if weights_folder().resolve() != WEIGHTS:  # by name, it would evaluate the weights of that installation
        command = f"{sys.executable} -m pip install -c constraints.txt -e '.[dev]'"
        sys.exit(
            f"ship_weights: anyir is installed in {weights_folder().parent}, not from here; run: {command}"
        )
    checkpoint = load_checkpoint(arguments.checkpoint)
    name = checkpoint.header["name"]
    checkpoint = replace(checkpoint, header={k: v for k, v in checkpoint.header.items() if k != "results"})
    export_onnx(checkpoint, WEIGHTS / f"{name}.onnx", overwrite=True)
    results = RESULTS / name / "results.json"
    results.unlink(missing_ok=True)  # they are of the weights that are being replaced
    write_facts()
    evaluate(name, arguments.data, name, "--suite", "all", "--conventions", "--figures")
    write_facts()
    header = {**checkpoint.header, "results": committed_results(WEIGHTS, RESULTS)[name]}
    save_checkpoint(
        WEIGHTS / f"{name}.safetensors", checkpoint.state, checkpoint.network, header, torch.float16
    )
    if name == DEFAULT:
        sets = (option for each in SETS_OF_BEST for option in ("--set", each))
        evaluate(name, arguments.data, f"{name}-best", "--quality", "best", *sets)
    sys.argv = sys.argv[:1]
    make_readme_results()


def write_facts() -> None:
    """models.json, from the weight files and the results that there are."""
    text = facts_text(WEIGHTS, DEFAULT, results=committed_results(WEIGHTS, RESULTS))
    write_atomically(WEIGHTS / "models.json", text.encode())


def evaluate(name: str, data: Path, into: str, *options: str) -> None:
    """``anyir evaluate`` of the weights called ``name`` into a folder of the results."""
    anyir = (sys.executable, "-m", "anyir.apps.cli")
    folder = (RESULTS / into).relative_to(ROOT).as_posix()
    command = ("evaluate", "--weights", name, "--data", str(data), *options, "-o", folder, "--overwrite")
    code = subprocess.run([*anyir, *command], cwd=ROOT).returncode
    if code:
        sys.exit(code)


if __name__ == "__main__":
    main()
