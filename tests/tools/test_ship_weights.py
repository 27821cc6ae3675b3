"""The tool that puts weights into the package."""

import re
import runpy
from pathlib import Path

import pytest

from anyir.inference import weights

TOOLS = Path(__file__).resolve().parents[2] / "tools"


def test_weights_of_another_installation_are_not_evaluated(tmp_path, monkeypatch):
    """They would be, by their name. That is said before the checkpoint is read: none is there."""
    monkeypatch.setattr(weights, "files", lambda package: tmp_path / package)
    monkeypatch.syspath_prepend(str(TOOLS))
    monkeypatch.setattr("sys.argv", ["ship_weights.py", str(tmp_path / "none"), "--data", str(tmp_path)])
    with pytest.raises(
        SystemExit, match=rf"installed in {re.escape(str(tmp_path / 'anyir'))}, .*pip install"
    ):
        runpy.run_path(str(TOOLS / "ship_weights.py"), run_name="__main__")
