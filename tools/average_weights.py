"""Average two checkpoints of one network: between a run and what it started from lie good compromises.

    python tools/average_weights.py OLD.safetensors NEW.safetensors --share 0.7 -o OUT.safetensors

OUT is ``share`` of NEW and the rest of OLD; its header is NEW's, with a word on the average. Wortsman et al., "Robust
fine-tuning of zero-shot models" (2022), interpolate so.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from anyir.errors import AnyirError
from anyir.model.checkpoint import load_checkpoint, save_checkpoint


def main() -> None:
    """Exits with 1 where the checkpoints are of different networks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--share", type=float, required=True, help="of NEW, 0 to 1")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    if not 0 <= arguments.share <= 1:
        parser.error("--share must be from 0 to 1")
    try:
        old, new = load_checkpoint(arguments.old), load_checkpoint(arguments.new)
    except AnyirError as error:
        sys.exit(f"average_weights: {error}")
    if old.network != new.network:
        sys.exit("the two checkpoints are of different networks")
    share = arguments.share
    state = {
        name: (1 - share) * old.state[name] + share * value if value.is_floating_point() else value
        for name, value in new.state.items()
    }
    training = new.header["training"]
    averaged = {"share": share, "with": {**old.header["training"], "share": round(1 - share, 6)}}
    header = {**new.header, "training": {**training, "averaged": averaged}}
    header.pop("results", None)
    save_checkpoint(arguments.output, state, new.network, header)


if __name__ == "__main__":
    main()
