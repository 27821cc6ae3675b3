"""What a run was made with: versions, machine, command and data, for whoever wants to make it again."""

from __future__ import annotations

import datetime
import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from anyir._version import __version__
from anyir.data.catalogue import Row
from anyir.files import utf8

_HERE = Path(__file__).resolve()


def sitting(recipe_name: str, rows: Sequence[Row], device: torch.device, processes: int) -> dict[str, Any]:
    """What one sitting of a run is made with, as JSON values.

    Args:
        recipe_name: the recipe's name.
        rows: the training examples.
        device: where the first process trains.
        processes: how many train together.
    """
    return {
        "started": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "recipe": recipe_name,
        "command": sys.argv,
        "anyir": __version__,
        "commit": commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "processes": processes,
        "data": {"pictures": len(rows), "sets": data_summary(rows)},
    }


def data_summary(rows: Iterable[Row]) -> dict[str, dict[str, Any]]:
    """Set → how many examples, and a SHA-256 that tells whether two runs had the same files.

    It is of the files' names, with their folder's, and sizes, sorted: not of their content, which would take long.
    """
    sets: dict[str, list[Row]] = {}
    for row in rows:
        sets.setdefault(row.source, []).append(row)
    return {name: {"examples": len(each), "sha256": _names_and_sizes(each)} for name, each in sets.items()}


def _names_and_sizes(rows: Iterable[Row]) -> str:
    files = {file for row in rows for file in (row.clean, row.degraded, row.labels) if file is not None}
    lines = sorted(f"{file.parent.name}/{file.name} {file.stat().st_size}\n" for file in files)
    return hashlib.sha256(utf8("".join(lines))).hexdigest()


def commit(file: Path = _HERE) -> dict[str, Any] | None:
    """The git commit that ``file`` belongs to, and whether files were changed since; None where there is none."""
    try:
        # An installed package may lie in some other project's working tree, which says nothing of it.
        _git(file, "ls-files", "--error-unmatch", file.name)
        changed = _git(file, "status", "--porcelain", "--untracked-files=no")
        return {"hash": _git(file, "rev-parse", "HEAD"), "changed": bool(changed)}
    except (OSError, subprocess.SubprocessError):
        return None


def _git(file: Path, *arguments: str) -> str:
    command = ["git", "-C", str(file.parent), *arguments]
    done = subprocess.run(command, capture_output=True, check=True, timeout=20, text=True, errors="replace")
    return done.stdout.strip()
