"""Run by test_distributed.py in several processes at once: trainings of the tiny network, and what came of them.

Usage: several.py RECIPE DATA OUT; every process writes its results to OUT/RANK.json.
"""

import json
import os
import sys
from pathlib import Path

import torch
from torch import nn

from anyir.errors import TrainingError
from anyir.model import config
from anyir.training import loop, losses
from anyir.training.batch_norm import use_statistics_of_all
from anyir.training.distributed import training_processes
from anyir.training.losses import l1
from anyir.training.recipe import load_recipe

config.NETWORKS = {
    **config.NETWORKS,
    "tiny": config.NetworkConfig(width=4, blocks=(1, 1, 1, 1), heads=(1, 1, 2, 2), refinement_blocks=1),
}
FREE = "stages=[{until=1, patch=16, batch=4}]"
FROZEN = "stages=[{until=1, patch=16, batch=4, freeze_batch_norm=true}]"


def batch_norm(processes):
    """Largest difference of outputs, gradients and statistics from BatchNorm2d's on the whole batch."""
    generator = torch.Generator().manual_seed(0)
    whole = torch.randn(4, 3, 5, 6, generator=generator, dtype=torch.float64) * 3 + 2
    weights = torch.randn(4, 3, 5, 6, generator=generator, dtype=torch.float64)
    results = []
    for several in (False, True):
        network = nn.Sequential(nn.BatchNorm2d(3)).double()
        if several:
            use_statistics_of_all(network)
        images = (processes.share(whole) if several else whole).clone().requires_grad_()
        output = network(images)
        (output * (processes.share(weights) if several else weights)).sum().backward()
        if several:
            processes.average_gradients(network)
            gradients = [parameter.grad * processes.count for parameter in network.parameters()]
            results.append([output, images.grad, *gradients, *network.state_dict().values()])
        else:
            gradients = [parameter.grad for parameter in network.parameters()]
            parts = [processes.share(output), processes.share(images.grad)]
            results.append([*parts, *gradients, *network.state_dict().values()])
    assert isinstance(network[0], nn.BatchNorm2d) and type(network[0]) is not nn.BatchNorm2d
    return max(float((a - b).detach().abs().max()) for a, b in zip(*results, strict=True))


def main():
    recipe, data, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    with training_processes("cpu") as processes:
        second = processes.rank == 1

        def run(name, *changes, **options):
            changes = ("steps=20", "checkpoint_every_steps=5", "validation.every_steps=20", *changes)
            outcome = loop.train(
                load_recipe(recipe, changes), data, out / name, processes=processes, **options
            )
            return [outcome.step, outcome.seconds, outcome.finished, outcome.scores]

        results = {
            "batch_norm": batch_norm(processes),
            "free": run("free", FREE),
            "frozen": run("frozen", FROZEN),
            "muon": run("muon", FROZEN, "optimiser.name=muon"),
            "taught": run("taught", FROZEN, f"distillation.teacher='{out / 'frozen' / 'model.safetensors'}'"),
            "files": run("files", FREE, "loading=files", "workers=1"),
        }
        calls = iter(range(1, 1000))
        stop = {"should_stop": lambda: next(calls) >= 7 and second}  # one of them is asked
        results["stopped"] = run("stopped", FREE, **stop)
        results["resumed"] = run("stopped", FREE, resume=True)
        many = ("steps=1000000", "validation.every_steps=1000000")
        results["budget"] = run("budget", FREE, *many, max_minutes=0.02)

        turns = iter(range(1, 1000))
        poison = torch.tensor(float("nan") if second else 1.0)
        losses.LOSSES = {"l1": lambda *images: l1(*images) * (poison if next(turns) == 3 else 1.0)}
        try:
            run("poisoned", FREE, "checkpoint_every_steps=20")
        except TrainingError as error:
            results["poisoned"] = [type(error).__name__, str(error)]
    (out / f"{os.environ['RANK']}.json").write_text(json.dumps(results))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
