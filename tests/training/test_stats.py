import shutil

import numpy as np
import pytest

from anyir.data.catalogue import load_pictures
from anyir.errors import DataError
from anyir.picture import write_image
from anyir.training.recipe import load_recipe
from anyir.training.sampling import make_sampler
from anyir.training.stats import recipe_stats, to_json


def training_of(recipe, data):
    return load_pictures(
        data, recipe.sets, hold_out_every=recipe.validation.hold_out_every, leave_out=recipe.leave_out
    )[0]


@pytest.fixture
def by_epoch(tmp_path):
    """Repeats, with a picture left out and one of each set held out."""
    path = tmp_path / "epochs.toml"
    path.write_text(
        'network = "tiny"\nepochs = 2\n[repeats]\nrain_real = 2\nlowlight = 3\nclean = 0\nnoise50 = 1\n'
        '[sources]\nnoise50 = ["photos", "bsds"]\n[leave_out]\nphotos = ["p3"]\n[[stages]]\nuntil = 1\n'
        "patch = 32\nbatch = 4\n"
    )
    return load_recipe(str(path))


def test_samples_of_an_epoch_are_those_that_a_training_has(by_epoch, tiny_data):
    stats = recipe_stats(by_epoch, tiny_data)
    assert {task.task: task.after for task in stats.tasks} == {
        "rain_real": 2 * (8 * 3 - 3),
        "lowlight": 3 * (8 - 1),
        "noise50": (8 - 1 - 1) + (8 - 1),
    }
    assert {task.task: int(task.after) for task in stats.tasks} == make_sampler(
        by_epoch, training_of(by_epoch, tiny_data)
    ).epoch
    assert stats.sets == {"rain_real": 24, "lowlight": 8, "photos": 8, "bsds": 8}
    assert (stats.before, stats.after) == (21 + 7 + 13, 42 + 21 + 13)


def test_what_is_left_out_is_left_out_as_training_does(tmp_path):
    """By scene, which is more than a file's name where each scene has a folder; and the same ones are held out."""
    for scene in ("GOPR1", "GOPR2"):
        for part in ("blur", "sharp"):
            folder = tmp_path / "GoPro" / "train" / scene / part
            folder.mkdir(parents=True)
            for number in range(4):
                write_image(np.zeros((32, 32, 3), np.uint8), folder / f"{number:06}.png")
    path = tmp_path / "deblur.toml"
    path.write_text(
        'network = "tiny"\nepochs = 1\n[repeats]\ndeblur = 1\n[validation]\nhold_out_every = 4\n[leave_out]\n'
        'gopro_train = ["GOPR1/000000", "GOPR2/000002"]\n[[stages]]\nuntil = 1\npatch = 32\nbatch = 4\n'
    )
    recipe = load_recipe(str(path))
    counted = {task.task: task.after for task in recipe_stats(recipe, tmp_path).tasks}
    assert counted == make_sampler(recipe, training_of(recipe, tmp_path)).epoch == {"deblur": 5}


def test_shares_of_a_mixture_are_those_that_a_training_has(recipe, tiny_data):
    mixture = recipe()
    stats = recipe_stats(mixture, tiny_data)
    assert {task.task: task.before for task in stats.tasks} == {"noise50": 7, "lowlight": 7, "clean": 7}
    shares = make_sampler(mixture, training_of(mixture, tiny_data)).shares
    assert {task.task: task.share for task in stats.tasks} == pytest.approx(shares)
    assert [task.after for task in stats.tasks] == pytest.approx([8.4, 8.4, 4.2])


def test_an_absent_set_counts_nothing_and_leaves_its_share_to_the_others(recipe, tiny_data):
    stats = recipe_stats(recipe("mixture.deblur=3"), tiny_data)
    deblur = next(task for task in stats.tasks if task.task == "deblur")
    assert (deblur.sets, deblur.before, deblur.after, deblur.share) == ({"gopro_train": 0}, 0, 0, 0)
    assert stats.absent == ("gopro_train",)
    assert sum(task.share for task in stats.tasks) == pytest.approx(1)


def test_a_task_without_those_that_lend_to_it_counts_nothing(tmp_path, tiny_data):
    path = tmp_path / "lent.toml"
    path.write_text(
        'network = "tiny"\nsteps = 4\n[mixture]\nlent_rain = 1\nclean = 1\n[sources]\nlent_rain = ["photos"]\n'
        'clean = ["photos"]\n[[stages]]\nuntil = 1\npatch = 32\nbatch = 4\n'
    )
    recipe = load_recipe(str(path))
    without = {task.task: task.before for task in recipe_stats(recipe, tiny_data).tasks}
    data = shutil.copytree(tiny_data, tmp_path / "data")
    for part in ("clean", "rainy"):
        shutil.copytree(data / "train/noise_real/clean", data / "train/rain" / part)
    assert {task.task: task.before for task in recipe_stats(recipe, data).tasks} == {
        "lent_rain": 7,
        "clean": 7,
    }
    assert without == {"lent_rain": 0, "clean": 7}


def test_a_folder_with_none_of_the_sets_is_refused(tiny_data):
    with pytest.raises(DataError, match=r"none of the sets that the recipe rain .* rain_train_l: Derain/"):
        recipe_stats(load_recipe("derain"), tiny_data, "rain")


def test_the_report_has_the_same_numbers(by_epoch, tiny_data):
    values = to_json(recipe_stats(by_epoch, tiny_data, "mine"))
    assert values["recipe"] == "mine" and values["weights"] == "repeats"
    assert values["samples"] == {"before": 41, "after": 76}
    assert values["tasks"]["rain_real"] == {
        "sets": {"rain_real": 24},
        "weight": 2,
        "before": 21,
        "after": 42.0,
        "share": round(42 / 76, 6),
    }
