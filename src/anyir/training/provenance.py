"""What a run was made with: versions, machine, command and data, for whoever wants to make it again."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from anyir._version import __version__

_HERE = Path(__file__).resolve()


def sitting(
    recipe_name: str, counts: Mapping[str, int], device: torch.device, processes: int
) -> dict[str, Any]:
    """What one sitting of a run is made with, as JSON values.

    Args:
        recipe_name: the recipe's name.
        counts: set → how many examples of it.
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
        "data": {"pictures": sum(counts.values()), "sets": {name: _set(n) for name, n in counts.items()}},
    }


def _set(examples: int) -> dict[str, Any]:
    # sha256: of the sorted names and sizes of the files, once the pictures that are loaded say what they are.
    return {"examples": examples, "sha256": None}


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
