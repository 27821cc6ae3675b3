import pytest

from anyir.data.mixture import task_sources
from anyir.data.sets import SETS
from anyir.errors import ConfigurationError
from anyir.model.config import network_config
from anyir.settings import from_mapping, to_mapping
from anyir.training.recipe import Recipe, load_recipe
from anyir.training.recipe_files import shipped_recipes

MINIMAL = """
network = "anyir-s"
steps = 100
warmup_steps = 10
[mixture]
noise25 = 1
[[stages]]
until = 0.5
patch = 32
batch = 8
[[stages]]
until = 1
patch = 64
batch = 2
"""


@pytest.fixture
def recipe_file(tmp_path):
    def write(text=MINIMAL):
        path = tmp_path / "mine.toml"
        path.write_text(text)
        return str(path)

    return write


@pytest.mark.parametrize("name", shipped_recipes())
def test_shipped_recipes_are_sound_and_survive_json(name):
    recipe = load_recipe(name)
    assert from_mapping(Recipe, to_mapping(recipe), "recipe") == recipe


def test_changes_reach_nested_keys_with_their_types(recipe_file):
    recipe = load_recipe(
        recipe_file(),
        [
            "optimiser.learning_rate=5e-4",
            "network=anyir",
            "mixture.clean=0.5",
            "compile=true",
            "optimiser.betas=[0.8, 0.9]",
        ],
    )
    assert recipe.optimiser.learning_rate == 5e-4
    assert recipe.optimiser.betas == (0.8, 0.9)
    assert recipe.network == "anyir"
    assert dict(recipe.mixture) == {"noise25": 1.0, "clean": 0.5}
    assert recipe.compile is True


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("stepps=3", "'stepps'; did you mean 'steps'"),
        ("optimiser.learning_rat=1", "'learning_rat'; did you mean 'learning_rate'"),
        ("steps=0", "steps = 0"),
        ("steps=1.5", r"steps = 1\.5: must be a whole number"),
        ("steps=true", "steps = True"),
        ("optimiser.learning_rate=-1", "learning_rate"),
        ("optimiser.betas=[0.9]", "betas"),
        ("optimiser.name=muom", "optimiser.name"),
        ("optimiser.momentum=1.0", "momentum = 1.0: must be at least 0, below 1"),
        ("precision=float16", "precision"),
        ("network=anyirr", "unknown network 'anyirr'"),
        ("mixture.noise26=1", "unknown task 'noise26'"),
        ("mixture.noise25=a", "mixture.noise25"),
        ("average_decay=1.0", "average_decay"),
        ("optimiser.part_clip=-1", r"optimiser\.part_clip = -1\.0: must not be negative"),
        ("black_and_white=1.5", r"black_and_white = 1\.5: must be from 0 to 1"),
        ("black_and_white=-0.1", "black_and_white"),
        ("stages=[{until=1, patch=60, batch=1}]", "patch"),
        ("stages=[{until=0.9, patch=64, batch=1}]", "until"),
        ("stages=[]", "until"),
        (
            "stages=[{until=1, patch=64, batch=4, accumulate=3}]",
            "batch = 4: must be a multiple of accumulate = 3",
        ),
        ("stages=[{until=1, patch=64, batch=4, accumulate=0}]", "accumulate = 0"),
        ("stages=[{until=1, patch=64, batch=4, accumulate=1.5}]", r"accumulate.* = 1\.5"),
        ("steps.more=1", "no table"),
        ("steps", "key=value"),
    ],
)
def test_a_bad_change_names_its_key(recipe_file, change, message):
    with pytest.raises(ConfigurationError, match=message):
        load_recipe(recipe_file(), [change])


def test_missing_things_are_named(recipe_file, tmp_path):
    with pytest.raises(ConfigurationError, match="'network' is missing"):
        load_recipe(recipe_file(MINIMAL.replace('network = "anyir-s"', "")))
    with pytest.raises(ConfigurationError, match="nowhere"):
        load_recipe(str(tmp_path / "nowhere.toml"))
    with pytest.raises(ConfigurationError, match="anyir-s-cpu"):
        load_recipe("five-degredations")
    with pytest.raises(ConfigurationError, match="not TOML"):
        load_recipe(recipe_file("network ="))


def test_learning_rate_warms_up_and_falls_as_a_cosine(recipe_file):
    recipe = load_recipe(recipe_file(), ["optimiser.learning_rate=1.0", "optimiser.final_share=0.1"])
    assert recipe.learning_rate_at(0, 0.0) == pytest.approx(0.1)
    assert recipe.learning_rate_at(9, 0.0) == pytest.approx(1.0)
    assert recipe.learning_rate_at(50, 0.5) == pytest.approx(0.55)
    assert recipe.learning_rate_at(100, 1.0) == pytest.approx(0.1)


def test_stages_follow_the_share_of_the_training(recipe_file):
    recipe = load_recipe(recipe_file())
    assert [recipe.stage_at(share).patch for share in (0, 0.49, 0.5, 0.99, 1.0)] == [32, 32, 64, 64, 64]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["repeats.noise25=3"], "a mixture .* or repeats, one of the two"),
        (["epochs=2"], "only a recipe with repeats has epochs"),
        (["crop_multiple=0"], "crop_multiple = 0"),
        (["validation.hold_out_every=1"], "hold_out_every = 1"),
        (['sources.noise25=["wedd"]'], "no training set 'wedd'; did you mean 'wed'"),
    ],
)
def test_what_does_not_go_together_is_refused(recipe_file, changes, message):
    with pytest.raises(ConfigurationError, match=message):
        load_recipe(recipe_file(), changes)


def test_epochs_need_one_batch_size_and_an_end_must_be_given(recipe_file):
    epochs = MINIMAL.replace("steps = 100", "epochs = 2").replace(
        "[mixture]\nnoise25 = 1", "[repeats]\nnoise25 = 3"
    )
    with pytest.raises(ConfigurationError, match="the batch must be the same in all stages"):
        load_recipe(recipe_file(epochs))
    with pytest.raises(ConfigurationError, match="give steps or epochs"):
        load_recipe(recipe_file(epochs.replace("epochs = 2", "")))


def test_only_a_mixture_has_a_share_in_black_and_white(recipe_file):
    assert load_recipe(recipe_file(), ["black_and_white=0.1"]).black_and_white == 0.1
    repeats = MINIMAL.replace("[mixture]\nnoise25 = 1", "[repeats]\nnoise25 = 3")
    with pytest.raises(ConfigurationError, match=r"black_and_white = 0\.1: must be .* 0 without a mixture"):
        load_recipe(recipe_file(repeats), ["black_and_white=0.1"])


# Samples an epoch by the paper (section on data; the repeats are the balancing), where the sets are whole.
PAPER = {
    "three-degradations": {
        "noise15": 15432,
        "noise25": 15432,
        "noise50": 15432,
        "derain": 24000,
        "dehaze": 72135,
    },
    "denoise": {"noise15": 15432, "noise25": 15432, "noise50": 15432},
    "derain": {"derain": 24000},
    "dehaze": {"dehaze": 72135},
    "deblur": {"deblur": 10515},
    "lowlight": {"lowlight": 9700},
}
PAPER["five-degradations"] = PAPER["three-degradations"] | PAPER["deblur"] | PAPER["lowlight"]
PAPER |= {f"ablation-{row}": PAPER["three-degradations"] for row in "abcde"}


@pytest.mark.parametrize("name", PAPER)
def test_the_papers_recipes_train_as_the_paper_does(name):
    recipe = load_recipe(name)
    counts = {
        task: times * sum(SETS[each].expected or 0 for each in task_sources(task, recipe.sources))
        for task, times in recipe.repeats.items()
    }
    assert counts == PAPER[name]
    assert recipe.epochs == 130 and recipe.loss == "l1" and recipe.crop_multiple == 16
    (stage,) = recipe.stages
    assert (stage.patch, stage.batch, stage.freeze_batch_norm) == (128, 16, False)
    optimiser = recipe.optimiser
    assert (optimiser.learning_rate, optimiser.betas, optimiser.weight_decay) == (2e-4, (0.9, 0.999), 0)
    assert recipe.learning_rate_at(0, 0) == 2e-4 and recipe.learning_rate_at(99, 0.5) == pytest.approx(1e-4)


def test_recipes_on_sets_that_share_pictures_with_test_sets_say_so():
    """BSD400 with Rain100L, the whole of LOL-v1's training part with its test part: in the papers' data."""
    for name in shipped_recipes():
        recipe = load_recipe(name)
        papers = "bsd400" in recipe.sets or name in ("lowlight", "five-degradations")
        assert (recipe.test_pictures == "allow") == papers, name
        assert (
            papers or "lowlight" not in recipe.sets or recipe.leave_out["lowlight"] == ("82", "775", "779")
        ), name


# Megapixels of the large sets' pictures. WED's differ: half of one is assumed.
MEGAPIXELS = {"ots": 0.55 * 0.413, "gopro_train": 1.28 * 0.72, "wed": 0.5}


def test_what_no_memory_holds_is_read_from_files():
    """Above some 8 GB decoded, where the sets are whole: three bytes a pixel, and two pictures a pair, but for OTS,
    which has 35 hazy pictures to a clean one."""
    for name in shipped_recipes():
        recipe = load_recipe(name)
        gigabytes = sum(
            3e-3
            * (SETS[each].expected or 0)
            * MEGAPIXELS.get(each, 0.3)
            * (1 if each in ("ots", "wed", "bsd400") else 2)
            for each in recipe.sets
        )
        assert (recipe.loading == "files") == (gigabytes > 8), (name, gigabytes)


def test_the_ablations_differ_in_the_network_alone():
    networks = [network_config(load_recipe(f"ablation-{row}").network) for row in "abcde"]
    switches = [(n.skip_split, n.cross_update, n.gated_adaptation) for n in networks]
    assert switches == [
        (False, False, False),
        (True, False, False),
        (False, False, True),
        (True, False, True),
        (True, True, True),
    ]


def test_balanced_has_a_tenth_of_the_steps_and_half_of_the_haze():
    three, balanced = PAPER["three-degradations"], load_recipe("balanced")
    samples = sum(three.values())
    total = sum(balanced.mixture.values())
    assert balanced.steps == round(130 * samples / 16 / 10)
    assert balanced.mixture["dehaze"] / total == pytest.approx(three["dehaze"] / samples / 2, abs=1e-3)
    assert balanced.mixture["derain"] / total == pytest.approx(three["derain"] / samples, abs=1e-3)
