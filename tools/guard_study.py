"""What the guard against harm does: on the test sets, or on the pictures held out of training, by which it is chosen.

    python tools/guard_study.py --data DIR -o results/guard
    python tools/guard_study.py --data DIR -o results/guard --held-out

Writes guard.json and guard.md; with --held-out limits.json and limits.md, where several limits are compared.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

from anyir.errors import AnyirError
from anyir.evaluation.guard_study import Pair, Pictures, evaluated_pictures, markdown, study_guard, to_json
from anyir.evaluation.results import library_versions
from anyir.evaluation.run import find_sets
from anyir.evaluation.sets import select_sets
from anyir.files import make_folder, write_atomically
from anyir.inference import OnnxEngine, resolve
from anyir.inference.guard import Limits

RECIPE = "anyir-s-cpu-last"
"""Whose tasks and held-out pictures are taken."""

LARGE = ("photos", "sunhays")
IN_TILES = ("noise25", "light_rain", "haze", "blur", "dark", "jpeg", "clean")
SAMPLES = 24
PATCH = 520
TILE = 256
"""Nine tiles: as a photograph of a megapixel and a half is in tiles of 512, reduced to a third for its overview."""

COMPARED = (
    Limits(0.02, 0.06),
    Limits(),
    Limits(0.06, 0.15),
    Limits(unconfirmed=1, confirmed=2),
    Limits(unconfirmed=0.25, confirmed=0.4),
    Limits(unconfirmed=-1, confirmed=0),
)


def main() -> None:
    """Says what it is at on the error stream."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, type=Path, help="folder of the pictures")
    parser.add_argument("-o", "--output", required=True, type=Path, help="folder for the results")
    parser.add_argument("--weights", default="default")
    parser.add_argument(
        "--held-out", action="store_true", help="compare limits on held-out training pictures"
    )
    arguments = parser.parse_args()
    try:
        study(arguments)
    except AnyirError as error:
        sys.exit(f"guard_study: {error}")


def study(arguments: argparse.Namespace) -> None:
    """Measure and write.

    Raises:
        AnyirError: for a folder without pictures, weights that cannot be used, or files that cannot be written.
    """
    make_folder(arguments.output)
    weights = resolve(arguments.weights)
    engine = OnnxEngine(weights.path)
    if arguments.held_out:
        name, limits, sets = "limits", COMPARED, list(held_out(arguments.data))
    else:
        found = find_sets(arguments.data, select_sets("all", ()))
        name, limits, sets = "guard", (Limits(),), list(evaluated_pictures(found))
    studies = study_guard(sets, engine, limits, on_set=lambda title: sys.stderr.write(f"{title}\n"))
    about = {
        "command": f"python {shlex.join(sys.argv)}",
        "weights": weights.name,
        "sha256": weights.sha256(),
        "provider": engine.provider,
        **({"recipe of the pictures": RECIPE} if arguments.held_out else {}),
        **library_versions(),
    }
    text = markdown(studies, limits, about)
    write_atomically(arguments.output / f"{name}.json", to_json(studies, limits, about).encode())
    write_atomically(arguments.output / f"{name}.md", text.encode())
    sys.stdout.write(text)


def held_out(data: Path) -> Iterator[Pictures]:
    """The patches that training validates on, by task; and larger ones of the larger pictures, in tiles."""
    import torch

    from anyir.data.catalogue import load_pictures
    from anyir.data.mixture import Mixture
    from anyir.training.recipe import load_recipe
    from anyir.training.validation import Validator

    recipe = load_recipe(RECIPE, ())
    _, pictures = load_pictures(data, recipe.sets, leave_out=recipe.leave_out)
    for task, batch in Validator(recipe, pictures, torch.device("cpu")).batches.items():
        yield Pictures(task, task.replace("_", " "), _pairs(batch))
    _, large = load_pictures(data, LARGE)
    for task in IN_TILES:
        mixture = Mixture({task: 1.0}, large, sources={task: LARGE})
        batch = mixture.task_batch(task, SAMPLES, PATCH, torch.Generator().manual_seed(crc32(task.encode())))
        yield Pictures(f"{task}-in-tiles", f"{task.replace('_', ' ')}, in tiles", _pairs(batch), TILE)


def _pairs(batch: Any) -> Iterator[Pair]:  # noqa: ANN401
    """The patches of a batch, (N, 3, H, W) each, one by one."""
    images = (part.permute(0, 2, 3, 1).contiguous().numpy() for part in batch)
    for number, pair in enumerate(zip(*images, strict=True)):
        yield Pair(str(number), *pair)


if __name__ == "__main__":
    main()
