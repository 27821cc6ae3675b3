"""Average two checkpoints of one network: between a run and what it started from lie good compromises.

    python tools/average_weights.py OLD.safetensors NEW.safetensors --share 0.7 -o OUT.safetensors

OUT is ``share`` of NEW and the rest of OLD; its header is NEW's, with a word on the average: what OLD was trained
with, or just ``"started_from"`` where NEW started from OLD, as otherwise every average would double the header.
tools/compare_held_out.py says which share is best.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from anyir.apps.options import protect_inputs
from anyir.errors import AnyirError, UsageError
from anyir.files import make_folder
from anyir.model.checkpoint import load_checkpoint, save_checkpoint
from anyir.training.averaging import between


def main() -> None:
    """Exits with 1 where the checkpoints cannot be averaged."""
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
        average(arguments.old, arguments.new, arguments.share, arguments.output)
    except AnyirError as error:
        sys.exit(f"average_weights: {error}")


def average(old_file: Path, new_file: Path, share: float, output: Path) -> None:
    """Write the average.

    Raises:
        AnyirError: a checkpoint cannot be used, both do not go together, the output is one of them, or it cannot be
            written.
    """
    protect_inputs(output, old_file, new_file)
    old, new = load_checkpoint(old_file), load_checkpoint(new_file)
    if old.network != new.network:
        raise UsageError("the two checkpoints are of different networks; average two of one")
    for file, header in ((old_file, old.header), (new_file, new.header)):
        if "training" not in header:
            raise UsageError(
                f"{file}: says nothing of its training; give a checkpoint that anyir train wrote"
            )
    state = between(old.state, new.state, share)
    training = said_once(new.header["training"])
    other = said_once(old.header["training"])
    averaged = {"share": share, "with": "started_from" if is_start(training, other) else other}
    header = {**new.header, "training": {**training, "averaged": averaged}}
    header.pop("results", None)
    make_folder(output.parent)
    save_checkpoint(output, state, new.network, header)


def said_once(training: dict[str, Any]) -> dict[str, Any]:
    """A run's history with every average in it named as :func:`average` names it."""
    said = dict(training)
    if isinstance(said.get("started_from"), dict):
        said["started_from"] = said_once(said["started_from"])
    averaged = said.get("averaged")
    if isinstance(averaged, dict) and isinstance(averaged["with"], dict):
        other = said_once({key: value for key, value in averaged["with"].items() if key != "share"})
        said["averaged"] = {**averaged, "with": "started_from" if is_start(said, other) else other}
    return said


def is_start(training: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether a run started from weights that were trained so; ``settings`` is what training adds to their history."""
    start = training.get("started_from") or {}
    return {key: value for key, value in start.items() if key != "settings"} == other


if __name__ == "__main__":
    main()
