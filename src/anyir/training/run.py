"""The folder of a training run: its recipe, its log, its checkpoints."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from anyir._version import __version__
from anyir.data.catalogue import Row
from anyir.errors import OutputError, WeightsError
from anyir.files import cannot_write, make_folder, remove_leftovers, write_atomically
from anyir.model.checkpoint import load_checkpoint, save_checkpoint
from anyir.model.config import network_config
from anyir.settings import to_mapping
from anyir.training import provenance
from anyir.training.divergence import Losses
from anyir.training.recipe import Recipe, to_header
from anyir.training.state import TrainingState
from anyir.training.validation import Score

STATE_FILE: Final = "state.safetensors"
MODEL_FILE: Final = "model.safetensors"
LOG_FILE: Final = "log.jsonl"
RECIPE_FILE: Final = "recipe.json"
RUN_FILE: Final = "run.json"


@dataclass(frozen=True)
class About:
    """What the header of the weights says of the run, beside its recipe.

    Attributes:
        recipe_name: the recipe's name.
        data: "pictures", how many, and "sets", set → how many.
        device: what trains, in words.
        started_from: how the weights that the run began with were trained; None for random ones.
        teacher: what is known of the weights that it learns from too (:class:`~anyir.training.objective.Teacher`); None
            for none.
    """

    recipe_name: str
    data: dict[str, Any]
    device: str
    started_from: dict[str, Any] | None
    teacher: dict[str, Any] | None


class RunFolder:
    """One run on disk. Where several processes train, the first alone may call what writes.

    Args:
        path: the folder.
        recipe: of the run.
    """

    def __init__(self, path: Path, recipe: Recipe) -> None:
        self.path = path
        self.recipe = recipe
        self.state_file, self.model_file = path / STATE_FILE, path / MODEL_FILE

    def open(self, *, resume: bool) -> None:
        """Make the folder where it is absent, and tidy it up where it is not.

        Args:
            resume: whether a run that is there may be gone on with.

        Raises:
            OutputError: there is a run in the folder, and ``resume`` is false; or the folder cannot be made.
        """
        self.refuse_another(resume=resume)
        make_folder(self.path)
        remove_leftovers(self.path)
        if not self.has_state:
            text = json.dumps(to_mapping(self.recipe), indent=2) + "\n"
            write_atomically(self.path / RECIPE_FILE, text.encode())

    def refuse_another(self, *, resume: bool) -> None:
        """See that no run is in the folder, unless it may be gone on with. Changes nothing.

        Raises:
            OutputError: one is.
        """
        if self.has_state and not resume:
            raise OutputError(
                f"{self.path}: there is a run in this folder; add --resume to go on with it, or name another"
            )

    @property
    def has_state(self) -> bool:
        """Whether there is something to resume from."""
        return self.state_file.exists()

    def add_sitting(
        self, recipe_name: str, rows: Sequence[Row], device: torch.device, processes: int
    ) -> None:
        """Write down what this sitting is made with, after those before it; see :func:`provenance.sitting`.

        Raises:
            OutputError: the disk is full, or refuses.
        """
        file = self.path / RUN_FILE
        sittings: list[Any] = []
        if self.has_state and file.exists():  # else it is of a run that came to nothing, which begins anew
            with suppress(ValueError, KeyError):  # somebody's edit must not keep a run from going on
                sittings = list(json.loads(file.read_text(encoding="utf-8"))["sittings"])
        sittings.append(provenance.sitting(recipe_name, rows, device, processes))
        text = json.dumps({"sittings": sittings}, indent=2) + "\n"
        write_atomically(file, text.encode())

    def started_from(self) -> dict[str, Any] | None:
        """What the run in this folder began from: who resumes it need not say it again."""
        if not self.model_file.exists():
            return None
        return load_checkpoint(self.model_file).header["training"].get("started_from")

    def save(self, state: TrainingState, about: About, scores: dict[str, Score], losses: Losses) -> None:
        """Write the averaged weights, and the state to resume from.

        They are two files. Where the second cannot be written, the weights are those of a later step than the state;
        a resumed run comes to that step again.

        Raises:
            TrainingError: a weight is not finite; what was written before is untouched.
            OutputError: the disk is full, or refuses; what is in the folder can be resumed from.
        """
        training = {
            "recipe": about.recipe_name,
            "network": self.recipe.network,
            "data": about.data,
            "samples": state.samples,
            "steps": state.step,
            "minutes": round(state.seconds / 60, 1),
            "device": about.device,
            "validation": {task: list(score) for task, score in scores.items()},
            "started_from": about.started_from,
        }
        if about.teacher is not None:
            training["teacher"] = about.teacher
        header = {
            "name": self.recipe.network,
            "anyir": __version__,
            "recipe": to_header(self.recipe),
            "training": training,
        }
        config = network_config(self.recipe.network)
        try:
            # First: it refuses weights that are not finite, and the sound state must not be replaced by theirs.
            save_checkpoint(self.model_file, state.average.state, config, header)
            state.save(self.state_file, self.recipe)
        except WeightsError as error:
            raise losses.explain(str(error)) from error
        except OutputError as error:
            raise _resumable(error) from error

    def trim_log(self, after_step: int) -> None:
        """Drop the lines of steps that will be trained again, and a last line that was cut short."""
        log = self.path / LOG_FILE
        if log.exists():
            lines = log.read_text(encoding="utf-8").splitlines(keepends=True)
            whole = [line for line in lines if line.endswith("\n")]
            kept = "".join(line for line in whole if json.loads(line)["step"] <= after_step)
            write_atomically(log, kept.encode())

    def log(self, **entry: object) -> None:
        """Add one line of JSON to the log.

        Raises:
            OutputError: the disk is full, or refuses.
        """
        log = self.path / LOG_FILE
        try:
            with log.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(entry) + "\n")
        except OSError as error:
            raise _resumable(cannot_write(log, error)) from error


def _resumable(error: OutputError) -> OutputError:
    return OutputError(f"{error}; then go on with --resume, which takes the last checkpoint that is there")
