"""Write src/anyir/weights/models.json anew; with --check, only say whether it is what would be written.

Run it after any change to the network, its named configurations or the weight files.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

from anyir.files import write_atomically
from anyir.model.facts import facts_text

DEFAULT: Final = "anyir-s"  # until the full model's weights beat it
WEIGHTS: Final = Path(__file__).resolve().parents[1] / "src" / "anyir" / "weights"


def main() -> None:
    """Exits with 1 if --check found a difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if the file differs")
    arguments = parser.parse_args()
    target = WEIGHTS / "models.json"
    text = facts_text(WEIGHTS, DEFAULT)
    if not arguments.check:
        write_atomically(target, text.encode())
    elif not target.is_file() or target.read_text(encoding="utf-8") != text:
        sys.exit(f"{target} is out of date; run: python tools/make_model_facts.py")


if __name__ == "__main__":
    main()
