import pytest

from anyir.errors import ConfigurationError
from anyir.settings import to_mapping
from anyir.training.recipe import load_recipe
from anyir.training.recipe_files import read_recipe, shipped_recipes

WHOLE = """
network = "anyir-s"
epochs = 3
crop_multiple = 16
[repeats]
noise25 = 3
derain = 120
[sources]
noise25 = ["wed"]
[optimiser]
learning_rate = 1e-3
betas = [0.8, 0.9]
[[stages]]
until = 0.5
patch = 32
batch = 4
[[stages]]
until = 1
patch = 64
batch = 4
"""


@pytest.fixture
def write(tmp_path):
    """write(name, text) → the path of a file, with the whole recipe in ``whole.toml`` beside it."""

    def make(text, name="mine.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    make(WHOLE, "whole.toml")
    return make


def test_tables_are_laid_over_key_by_key_and_all_else_is_replaced(write):
    recipe = load_recipe(
        write("""
        base = "whole.toml"
        network = "anyir"
        [repeats]
        derain = 60
        deblur = 5
        [sources]
        [optimiser]
        betas = [0.7, 0.95]
        [[stages]]
        until = 1
        patch = 128
        batch = 16
        """)
    )
    assert recipe.network == "anyir" and recipe.epochs == 3 and recipe.crop_multiple == 16
    # In this order, which decides the order of samples: the base's tasks where they were, new ones after them.
    assert list(recipe.repeats.items()) == [("noise25", 3), ("derain", 60), ("deblur", 5)]
    assert dict(recipe.sources) == {"noise25": ("wed",)}
    assert (recipe.optimiser.learning_rate, recipe.optimiser.betas) == (1e-3, (0.7, 0.95))
    assert [stage.patch for stage in recipe.stages] == [128]


def test_what_is_named_in_without_is_not_inherited(write):
    mixture = 'base = "whole.toml"\nwithout = ["epochs", "repeats"]\nsteps = 9\n[mixture]\nderain = 1\n'
    recipe = load_recipe(write(mixture))
    assert (recipe.steps, recipe.epochs) == (9, None)
    assert dict(recipe.mixture) == {"derain": 1} and not recipe.repeats
    with pytest.raises(ConfigurationError, match="one of the two"):
        load_recipe(write(mixture.replace(', "repeats"', "")))
    one = 'base = "whole.toml"\nwithout = ["repeats.derain", "optimiser.betas"]\n'
    recipe = load_recipe(write(one))
    assert dict(recipe.repeats) == {"noise25": 3}
    assert (recipe.optimiser.learning_rate, recipe.optimiser.betas) == (1e-3, (0.9, 0.999))
    recipe = load_recipe(write('base = "whole.toml"\nwithout = ["repeats"]\n[repeats]\nderain = 7\n'))
    assert dict(recipe.repeats) == {"derain": 7}


def test_it_is_the_recipe_that_is_written_out(write):
    """So a run goes on whichever of the two it is resumed with."""
    built = load_recipe(write('base = "whole.toml"\ncrop_multiple = 8\n'))
    written_out = load_recipe(write(WHOLE.replace("crop_multiple = 16", "crop_multiple = 8"), "out.toml"))
    assert built == written_out and to_mapping(built) == to_mapping(written_out)


def test_a_base_is_of_the_package_or_lies_by_the_file_and_may_have_a_base(write, monkeypatch):
    write('base = "denoise"\nepochs = 7\n', "one/first.toml")
    file = write('base = "../one/first.toml"\nwithout = ["repeats.noise50"]\nseed = 5\n', "two/second.toml")
    recipe = load_recipe(file, ["epochs=8"])
    assert (recipe.epochs, recipe.seed, recipe.crop_multiple) == (8, 5, 16)
    assert dict(recipe.repeats) == {"noise15": 3, "noise25": 3}
    monkeypatch.chdir("/")
    assert load_recipe(file, ["epochs=8"]) == recipe


def test_a_base_need_not_be_whole(write):
    write("epochs = 4\n", "part.toml")
    rest = WHOLE.replace("epochs = 3\n", "")
    assert load_recipe(write('base = "part.toml"\n' + rest)).epochs == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('base = "deniose"', "base = 'deniose': no such recipe; did you mean 'denoise'?"),
        ('base = "../wholly"', "base = '../wholly': no such recipe; known: ablation-a, "),
        ('base = "wohle.toml"', "base = 'wohle.toml': no such recipe; did you mean 'whole.toml'?"),
        ('base = "nowhere/whole.toml"', "base = 'nowhere/whole.toml': no such recipe"),
        ('base = "mine.toml"', "builds on itself, by way of its base "),
        ("base = 3", "base = 3: must be a string"),
        ('base = ["denoise"]', "base = ['denoise']: must be a string"),
        ('base = "whole.toml"\nwithout = "repeats"', "without = 'repeats': must be a list"),
        ('base = "whole.toml"\nwithout = [3]', "without = [3]: must be a list"),
        (
            'base = "whole.toml"\nwithout = ["repeat"]',
            "without 'repeat': its base has no such key; did you mean 'repeats'?",
        ),
        (
            'base = "whole.toml"\nwithout = ["repeats.derian"]',
            "without 'repeats.derian': its base has no such key; did you mean 'repeats.derain'?",
        ),
        ('base = "whole.toml"\nwithout = ["epochs.more"]', "without 'epochs.more': its base has no such key"),
        (
            WHOLE.replace("epochs", 'without = ["seed"]\nepochs'),
            "without = ['seed']: only a recipe with a base has it",
        ),
    ],
)
def test_a_wrong_base_is_one_line_that_names_the_file(write, text, message):
    file = write(text)
    with pytest.raises(ConfigurationError) as caught:
        load_recipe(file)
    assert str(caught.value).startswith(f"{file}: {message}") and "\n" not in str(caught.value)


def test_a_circle_of_bases_names_the_file_that_closes_it(write):
    file = write('base = "other.toml"')
    other = write('base = "third.toml"', "other.toml")
    third = write('base = "other.toml"', "third.toml")
    with pytest.raises(ConfigurationError) as caught:
        load_recipe(file)
    assert str(caught.value) == f"{third}: builds on itself, by way of its base {other}"


def test_a_base_that_cannot_be_read_is_named(write):
    broken = write("network =", "broken.toml")
    with pytest.raises(ConfigurationError) as caught:
        load_recipe(write('base = "broken.toml"'))
    assert str(caught.value).startswith(f"{broken}: not TOML")


@pytest.mark.parametrize("change", ["base=denoise", "without=['repeats']"])
def test_base_and_without_cannot_be_set(write, change):
    with pytest.raises(ConfigurationError, match="only a recipe's file can have this key"):
        load_recipe(write(WHOLE), [change])


def test_the_papers_recipes_say_only_what_is_different():
    """Of what they inherit, the tests of recipes hold the values."""
    assert not {"base", "without"} & {key for name in shipped_recipes() for key in read_recipe(name)}
    three, five = read_recipe("three-degradations"), read_recipe("five-degradations")
    assert five == {**three, "repeats": {**three["repeats"], "deblur": 5, "lowlight": 20}}
