"""Write src/anyir/weights/models.json anew; with --check, only say whether it is what would be written.

Run it after any change to the network, its named configurations, the weight files or their results.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path
from typing import Any, Final

from anyir.evaluation.results import load_results, summary
from anyir.files import write_atomically
from anyir.model.facts import facts_text

DEFAULT: Final = "anyir-s"  # until the full model's weights beat it
ROOT: Final = Path(__file__).resolve().parents[1]
WEIGHTS: Final = ROOT / "src" / "anyir" / "weights"
RESULTS: Final = ROOT / "results"


def main() -> None:
    """Exits with 1 if --check found a difference, or if results are those of other weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if the file differs")
    arguments = parser.parse_args()
    target = WEIGHTS / "models.json"
    text = facts_text(WEIGHTS, DEFAULT, results=committed_results(WEIGHTS, RESULTS))
    if not arguments.check:
        write_atomically(target, text.encode())
    elif not target.is_file() or target.read_text(encoding="utf-8") != text:
        sys.exit(f"{target} is out of date; run: python tools/make_model_facts.py")


def committed_results(weights: Path, results: Path) -> dict[str, dict[str, Any]]:
    """Name → summary of ``results/NAME/results.json``, for the weight files that have one.

    Exits with 1 if a results file was made with other weights than those that are there.
    """
    found: dict[str, dict[str, Any]] = {}
    for file in sorted(weights.glob("*.onnx")):
        source = results / file.stem / "results.json"
        if source.is_file():
            evaluation = load_results(source)
            if evaluation.weights["sha256"] != hashlib.sha256(file.read_bytes()).hexdigest():
                sys.exit(f"{source} is not about the weights in {file.name}; evaluate them again")
            found[file.stem] = {**summary(evaluation), "file": f"results/{file.stem}/results.json"}
    return found


if __name__ == "__main__":
    main()
