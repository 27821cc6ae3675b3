import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils._python_dispatch import TorchDispatchMode

from anyir.data.catalogue import load_pictures
from anyir.data.degradations import estimate_haze, quantise
from anyir.data.epochs import Epochs
from anyir.data.mixture import TASKS, Mixture, _on_host, check_leave_out, check_sources, sources_of
from anyir.errors import ConfigurationError
from anyir.training.validation import Validator

TINY = ("bsds", "photos", "street", "lowlight", "blur", "noise_real", "rain_real")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def pictures(tiny_data):
    return load_pictures(tiny_data, TINY)[0]


@pytest.fixture
def own_copy(tiny_data, tmp_path):
    return shutil.copytree(tiny_data, tmp_path / "copy")


@pytest.fixture
def tasks_on_tiny_sets(monkeypatch):
    """The clean-picture tasks draw on a set that the tiny folder lacks: leave it out."""
    small = {
        name: replace(task, sources=tuple(s for s in task.sources if s in TINY))
        for name, task in TASKS.items()
    }
    small = {name: t for name, t in small.items() if t.sources and set(t.lenders) <= set(TINY)}
    monkeypatch.setattr("anyir.data.mixture.TASKS", small)
    return small


def test_every_task_makes_eight_bit_images_of_the_same_scene(pictures, tasks_on_tiny_sets):
    for name in tasks_on_tiny_sets:
        degraded, clean = Mixture({name: 1.0}, pictures).batch(3, 64, seeded())
        assert degraded.shape == clean.shape == (3, 3, 64, 64), name
        levels = degraded * 255
        assert torch.allclose(levels, levels.round(), atol=1e-3), f"{name} is not what a file would hold"
        assert torch.equal(degraded, clean) == (name == "clean"), name


def test_grain_lies_over_black_and_white_pictures_too_half_of_it_grey_and_a_third_of_it_as_jpeg(
    pictures, tasks_on_tiny_sets, monkeypatch
):
    met = {}

    def shifted(images, sigma, generator, *, own, width):
        met.update(sigma=sigma, own=own, width=width)
        return images + 0.1

    def black(images, quality):
        met.update(quality=quality)
        return torch.zeros_like(images)

    monkeypatch.setattr("anyir.data.mixture.add_grain", shifted)
    monkeypatch.setattr("anyir.data.mixture.compress_jpeg", black)
    degraded, clean = Mixture({"grain": 1.0}, pictures, tones=True).batch(300, 32, seeded())
    grey = (clean == clean[:, :1]).flatten(1).all(1)
    assert 0.4 < grey.float().mean() < 0.6
    as_jpeg = (degraded == 0).flatten(1).all(1)
    assert 0.25 < as_jpeg.float().mean() < 0.42
    for name, low, high in (("sigma", 3, 50), ("quality", 50, 95), ("own", 0, 0.5), ("width", 0, 1)):
        assert low <= met[name].min() <= 1.3 * low and high / 1.3 < met[name].max() <= high
    for name in ("own", "width"):
        assert 0.4 < (met[name] == 0).float().mean() < 0.6


def test_a_share_of_every_task_is_made_black_and_white_once_it_is_degraded(pictures, tasks_on_tiny_sets):
    weights = {"noise25": 0.5, "blur_pairs": 0.5}
    colour = Mixture(weights, pictures).batch(400, 32, seeded())
    batch = Mixture(weights, pictures, black_and_white=0.25).batch(400, 32, seeded())
    grey = (batch.degraded == batch.degraded[:, :1]).flatten(1).all(1)
    for half in (grey[:200], grey[200:]):  # a task's samples lie together
        assert 0.15 < half.float().mean() < 0.35
    # The same samples; noise of three channels as its luma.
    for before, after in zip(colour, batch, strict=True):
        assert torch.equal(after[~grey], before[~grey])
        luma = (before[grey] * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
        assert torch.allclose(after[grey], luma.expand(-1, 3, -1, -1), atol=0.5 / 255 + 1e-6)
    levels = batch.degraded * 255
    assert torch.allclose(levels, levels.round(), atol=1e-3)
    everything = Mixture(weights, pictures, black_and_white=1.0).batch(8, 32, seeded())
    assert all(torch.equal(images, images[:, :1].expand(-1, 3, -1, -1)) for images in everything)


def test_some_samples_get_other_tones_degraded_and_clean_alike(pictures, tasks_on_tiny_sets):
    plain = Mixture({"blur_pairs": 1.0}, pictures).batch(64, 64, seeded())
    toned = Mixture({"blur_pairs": 1.0}, pictures, tones=True).batch(64, 64, seeded())
    changed = [not torch.equal(a, b) for a, b in zip(plain.clean, toned.clean, strict=True)]
    assert 20 <= sum(changed) <= 44  # half of them
    darkest = toned.clean.amin((1, 2, 3)) - plain.clean.amin((1, 2, 3))
    assert darkest.max() > 0.1 and toned.clean.amax() <= 1
    vividness = [(each.amax(1) - each.amin(1)).mean((1, 2)) for each in (toned.clean, plain.clean)]
    assert 0.2 < (vividness[0] / vividness[1]).min() < 0.5
    for clean, degraded, original in zip(toned.clean, toned.degraded, plain.degraded, strict=True):
        # One change for both: equal colours before are equal colours after, and what was brighter still is.
        before, after = (image.flatten(1).T for image in (original, degraded))
        colours: dict[tuple[float, ...], tuple[float, ...]] = {}
        for x, y in zip(before.tolist(), after.tolist(), strict=True):
            assert colours.setdefault(tuple(x), tuple(y)) == tuple(y)
        darkest, brightest = before.amax(1).argmin(), before.amin(1).argmax()
        assert (after[darkest] <= after[brightest]).all()
        assert clean.mean() > degraded.mean()


def test_noise_may_be_truncated_as_in_the_papers_code(pictures, tasks_on_tiny_sets):
    both = [
        Mixture({name: 1.0}, pictures).batch(8, 64, seeded()) for name in ("noise25", "noise25_truncated")
    ]
    darker = (both[0].degraded - both[1].degraded) * 255
    assert set(darker.round().unique().tolist()) == {0.0, 1.0}
    assert darker.mean().item() == pytest.approx(0.47, abs=0.05)


def test_wild_pictures_suffer_several_things_in_several_orders_or_none(pictures, tasks_on_tiny_sets):
    mixture = Mixture({"wild": 1.0}, pictures)
    degraded, clean = mixture.batch(96, 32, seeded())
    spared = sum(torch.equal(d, c) for d, c in zip(degraded, clean, strict=True))
    assert 2 <= spared <= 22  # 0.8³ · 0.7 · 0.5² = 9 %
    again = mixture.batch(96, 32, seeded())
    assert torch.equal(degraded, again.degraded)


def test_the_order_of_what_befalls_a_wild_picture_changes(pictures, monkeypatch):
    order = []

    def note(letter):
        def degrade(patches, generator):
            order.append(letter)
            return patches.clean

        return degrade

    monkeypatch.setattr("anyir.data.mixture._WILD", tuple((0.5, note(letter)) for letter in "abc"))
    task = replace(TASKS["wild"], sources=("photos",))
    monkeypatch.setattr("anyir.data.mixture.TASKS", {"wild": task})
    orders = set()
    for seed in range(30):
        order.clear()
        Mixture({"wild": 1.0}, pictures).batch(2, 32, seeded(seed))
        orders.add("".join(order))
    assert orders == {"abc", "acb", "bac", "bca", "cab", "cba"}


def test_a_recipe_may_say_where_a_task_draws_from(pictures, tasks_on_tiny_sets):
    dark = Mixture({"clean": 1.0}, pictures, sources={"clean": ("lowlight",)}).batch(4, 80, seeded()).clean
    assert sources_of({"clean": 1.0}, {"clean": ("lowlight", "blur")}) == ("blur", "lowlight")
    own = pictures.draw(pictures.pool(["lowlight"]), 64, 80, seeded(1)).clean
    colours = {tuple(image.amax((1, 2)).tolist()) for image in own}
    assert all(tuple(image.amax((1, 2)).tolist()) in colours for image in dark)


@pytest.fixture
def lending(own_copy, monkeypatch):
    """Photographs, and eight pairs whose rain is bright columns, each pair's of its own brightness."""
    random = np.random.default_rng(5)
    for folder in ("rain/clean", "rain/rainy"):
        (own_copy / "train" / folder).mkdir(parents=True)
    for number in range(8):
        clean = random.integers(0, 120, (80, 88, 3), dtype=np.uint8)
        rainy = clean.copy()
        rainy[:, ::8] += np.uint8(20 + 10 * number)
        Image.fromarray(clean).save(own_copy / "train/rain/clean" / f"{number}.png")
        Image.fromarray(rainy).save(own_copy / "train/rain/rainy" / f"{number}.png")
    task = replace(TASKS["lent_rain"], sources=("photos",))
    monkeypatch.setattr("anyir.data.mixture.TASKS", {**TASKS, "lent_rain": task})
    monkeypatch.setattr("anyir.data.epochs.TASKS", {**TASKS, "lent_rain": task})
    return load_pictures(own_copy, ("photos", "rain"))


def validated(held):
    """The tasks that a recipe with lent rain alone validates on these pictures."""
    recipe = SimpleNamespace(
        weights={"lent_rain": 1.0}, sources={}, validation=SimpleNamespace(samples=2, patch=64)
    )
    return list(Validator(recipe, held, torch.device("cpu")).batches)


def test_pairs_lend_their_rain_to_other_pictures(lending):
    training, held = lending
    photos = set(training.draw(training.pool(["photos"]), 200, 80, seeded()).clean.flatten(1).sum(1).tolist())
    degraded, clean = Mixture({"lent_rain": 1.0}, training).batch(200, 80, seeded(1))
    assert set(clean.flatten(1).sum(1).tolist()) <= photos  # the pairs' own scenes are not among them
    gained = degraded - clean
    assert gained.min() >= 0 and (gained.amax((1, 2, 3)) > 0.02).all()
    # In half of the patches the columns stand upright: seven columns of eight are as they were.
    upright = (gained.amax((1, 2)) < 1e-6).sum(1) >= 68
    assert 70 <= upright.sum() <= 130
    slanted = (gained[~upright].amax((1, 2)) > 1e-3).sum(1)
    assert (slanted > 20).all()
    # Lent by seven pairs of different brightness, at strengths of 0.5 to 2; the eighth is held out.
    peaks = gained[upright].amax((1, 2, 3)) * 255
    assert 0.5 * 20 - 1 <= peaks.min() < 0.7 * 20 and 120 < peaks.max() <= 2 * 90 + 1
    lent = held.lend(held.pool(["rain"]), held.draw(held.pool(["photos"]), 4, 64, seeded()), seeded())
    assert (lent.layer.amax((1, 2, 3)) * 255).round().unique().tolist() == [20 + 10 * 5]


def test_a_pairs_haze_is_made_thinner_and_thicker_over_its_own_depth(own_copy, monkeypatch):
    random = np.random.default_rng(5)
    near_to_far = np.exp(-np.linspace(0.2, 1.2, 80))[:, None, None]
    for folder in ("haze_indoor/clear", "haze_indoor/hazy"):
        (own_copy / "train" / folder).mkdir(parents=True)
    for number in range(6):
        clear = random.integers(0, 200, (80, 80, 3), dtype=np.uint8)
        hazy = (clear * near_to_far + 255 * (1 - near_to_far)).round().astype(np.uint8)
        Image.fromarray(clear).save(own_copy / "train/haze_indoor/clear" / f"{number}.png")
        Image.fromarray(hazy).save(own_copy / "train/haze_indoor/hazy" / f"{number}_1.png")
    pictures = load_pictures(own_copy, ("haze_indoor",))[0]
    monkeypatch.setattr("anyir.data.mixture._as_taken", lambda patches, seen, generator: quantise(seen))
    degraded, clear = Mixture({"rehazed": 1.0}, pictures).batch(120, 80, seeded())
    transmission, airlight = estimate_haze(clear, degraded)
    assert 0.3 < (airlight > 0.985).float().mean() < 0.7 and airlight.min() < 0.75
    kept = airlight > 0.985
    depth = -transmission[kept].log().mean((1, 3))  # by rows; a patch may be upside down
    ends = depth[:, [8, -9]].sort(1).values
    thickness = (ends[:, 1] - ends[:, 0]) / (0.2 + 1.0 * 71 / 79 - 0.2 - 1.0 * 8 / 79)
    assert 0.35 < thickness.min() < 0.6 and 1.4 < thickness.max() < 2.2
    # Over the pair's own depth: in one proportion everywhere.
    middle = depth[:, 40]
    assert ((ends.mean(1) - middle).abs() < 0.12 * ends.mean(1)).all()


@pytest.mark.parametrize(("task", "source"), [("haze", "photos"), ("rehazed", "blur")])
def test_haze_is_seen_by_a_camera_with_noise_in_a_third_and_then_as_jpeg_in_a_third(
    tiny_data, monkeypatch, task, source
):
    met = {}

    def white(images, shot, read, generator):
        met.update(shot=shot * 1e4, read=read)
        return torch.ones_like(images)

    def black(images, quality):
        met.update(quality=quality, noisy=(images == 1).flatten(1).all(1).float().mean())
        return torch.zeros_like(images)

    monkeypatch.setattr("anyir.data.mixture.add_sensor_noise", white)
    monkeypatch.setattr("anyir.data.mixture.compress_jpeg", black)
    pictures = load_pictures(tiny_data, (source,))[0]
    degraded, clean = Mixture({task: 1.0}, pictures, sources={task: (source,)}).batch(300, 32, seeded())
    as_jpeg, noisy = ((degraded == value).flatten(1).all(1).float().mean() for value in (0, 1))
    assert 0.25 < as_jpeg < 0.42 and 0.25 < met["noisy"] < 0.42 and 0.15 < noisy < 0.3
    assert 0 < clean.mean() < 1  # which is what was before all this
    for name, low, high in (("shot", 1, 30), ("read", 0.5, 3), ("quality", 50, 95)):
        assert low <= met[name].min() < 1.3 * low and high / 1.3 < met[name].max() <= high


def test_a_dark_image_is_given_other_exposures_and_its_clean_image_stays(own_copy):
    random = np.random.default_rng(6)
    for folder in ("low", "normal"):
        shutil.rmtree(own_copy / "train/lowlight" / folder)
        (own_copy / "train/lowlight" / folder).mkdir()
    for number in range(9):  # of three darknesses, which their red tells
        clean = random.integers(110, 131, (64, 64, 3), dtype=np.uint8)
        clean[..., 0] = 40 + 60 * (number % 3)
        low = clean // (4, 16, 255)[number % 3]
        for folder, image in (("normal", clean), ("low", low)):
            Image.fromarray(image).save(own_copy / "train/lowlight" / folder / f"{number}.png")
    pictures = load_pictures(own_copy, ("lowlight",))[0]
    exposed, clean = Mixture({"reexposed": 1.0}, pictures).batch(600, 64, seeded())
    dark, unexposed = Mixture({"lowlight": 1.0}, pictures).batch(600, 64, seeded(1))
    kinds, dark_kinds = (each[:, 0].mean((1, 2)).mul(255).round() for each in (clean, unexposed))
    assert kinds.unique().tolist() == dark_kinds.unique().tolist() == [40, 100, 160]
    for kind in (40, 100):
        one = kinds == kind
        means = exposed[one].mean((1, 2, 3))
        its_own = dark[dark_kinds == kind].mean()
        light = (means / its_own) ** 2.2
        brightest = (0.5 * clean[one].mean() / its_own) ** 2.2
        assert 0.2 < light.min() < 0.3 and 0.8 * brightest < light.max() < 1.1 * brightest
        middle = (0.25 * brightest) ** 0.5  # spread evenly over the stops
        assert 0.35 < (light < middle).float().mean() < 0.65
    assert not exposed[kinds == 160].any()  # black stays black


def test_an_image_that_is_not_dark_is_only_darkened(own_copy):
    shutil.rmtree(own_copy / "train/lowlight/low")
    shutil.copytree(own_copy / "train/lowlight/normal", own_copy / "train/lowlight/low")
    pictures = load_pictures(own_copy, ("lowlight",))[0]
    exposed, clean = Mixture({"reexposed": 1.0}, pictures).batch(100, 64, seeded())
    assert (exposed <= clean + 1 / 255).all() and (
        exposed.mean((1, 2, 3)) < 0.6 * clean.mean((1, 2, 3))
    ).any()


def test_what_lends_must_be_there_and_lends_in_training_by_epochs_too(lending):
    training, held = lending
    assert sources_of({"lent_rain": 1.0}) == ("photos", "rain")
    epochs = Epochs({"lent_rain": 2}, training, seed=1)
    assert epochs.length == 2 * 7  # examples are the clean pictures, not the pairs
    degraded, clean = epochs.batch(0, 14, 64, seeded())
    assert (degraded - clean).min() >= 0 and ((degraded - clean).amax((1, 2, 3)) > 0.02).all()
    assert validated(held) == ["lent_rain"]


def test_a_task_is_not_validated_without_a_lender_that_is_held_out(own_copy, lending):
    held = load_pictures(own_copy, ("photos",))[1]
    assert not validated(held)


@pytest.mark.parametrize(
    ("leave_out", "message"),
    [
        ({"lowligth": ("82",)}, "no training set 'lowligth'; did you mean 'lowlight'"),
        ({"lolv1": ("79",)}, "no training set 'lolv1'"),
        ({"lowlight": ("82.png",)}, "write '82' for '82.png'"),
    ],
)
def test_impossible_names_of_what_to_leave_out(leave_out, message):
    with pytest.raises(ConfigurationError, match=message):
        check_leave_out(leave_out)
    check_leave_out({"ots": ("0001_0.8",)})


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ({"nose25": ("bsds",)}, "unknown task 'nose25'; did you mean 'noise25'"),
        ({"noise25": ("bsd",)}, "no training set 'bsd'; did you mean 'bsds'"),
        ({"noise25": ("rain100l",)}, "no training set 'rain100l'"),
        ({"noise25": ()}, "at least one"),
        ({"derain": ("bsds",)}, "needs pairs"),
        ({"rehazed": ("bsds",)}, "needs pairs"),
        ({"reexposed": ("photos",)}, "needs pairs"),
    ],
)
def test_impossible_sources(sources, message):
    with pytest.raises(ConfigurationError, match=message):
        check_sources(sources)


def test_shares_are_kept_to_within_one_sample(pictures, tasks_on_tiny_sets):
    mixture = Mixture({"clean": 3.0, "lowlight": 1.0, "jpeg": 0.0}, pictures)
    for seed in range(5):
        degraded, clean = mixture.batch(8, 32, seeded(seed))
        unchanged = sum(torch.equal(d, c) for d, c in zip(degraded, clean, strict=True))
        assert unchanged == 6
    small = [mixture.batch(1, 32, seeded(seed)) for seed in range(40)]
    assert 20 <= sum(torch.equal(d, c) for d, c in small) <= 38  # three of four


def test_a_task_is_drawn_at_each_of_its_scales_that_fit(pictures, tasks_on_tiny_sets, monkeypatch):
    """The tiny pictures' shortest side is 80: patches of 32 fit at half size, not at a third."""
    monkeypatch.setitem(
        tasks_on_tiny_sets,
        "clean",
        replace(tasks_on_tiny_sets["clean"], zooms=(1, 2, 3), sources=("photos",)),
    )
    mixture, seen = Mixture({"clean": 1.0}, pictures, scales=True), []
    draw = type(pictures).draw

    def spy(self, pool, n, size, generator, *, zoom):
        seen.append(zoom)
        return draw(self, pool, n, size, generator, zoom=zoom)

    monkeypatch.setattr(type(pictures), "draw", spy)
    for seed in range(20):
        mixture.batch(1, 32, seeded(seed))
    assert set(seen) == {1, 2}
    seen.clear()
    for seed in range(20):
        mixture.batch(1, 24, seeded(seed))
    assert set(seen) == {1, 2, 3}
    seen.clear()
    Mixture({"clean": 1.0}, pictures).batch(1, 24, seeded())
    assert seen == [1]


@pytest.mark.parametrize("patch", [128, 160])
def test_haze_lies_over_labelled_depth_in_a_third_of_the_patches(data_dir, monkeypatch, patch):
    """Only the smaller pictures have labels: a zoom for which they are too small has smooth depth alone."""
    pictures, _ = load_pictures(data_dir, TASKS["haze"].sources)
    labelled = []

    def noted(patches, generator):
        labelled.extend(patches.has_depth.tolist())
        return patches.clean

    monkeypatch.setattr("anyir.data.mixture.TASKS", {"haze": replace(TASKS["haze"], degrade=noted)})
    mixture = Mixture({"haze": 1.0}, pictures, scales=True)
    for seed in range(100):
        mixture.batch(4, patch, seeded(seed))
    assert 0.3 < np.mean(labelled) < 0.7


def test_pictures_too_small_for_the_zoom_are_not_drawn_at_it(own_copy, monkeypatch):
    """Seven black pictures of 80 × 80 and a white one of 160 × 160: patches of 72 at half size are all white."""
    for path in (own_copy / "train/clean/photos").iterdir():
        Image.new("RGB", (80, 80)).save(path)
    Image.new("RGB", (160, 160), "white").save(own_copy / "train/clean/photos/p0.png")
    large, _ = load_pictures(own_copy, ["photos"])
    task = replace(TASKS["clean"], zooms=(2, 3), sources=("photos",))
    monkeypatch.setattr("anyir.data.mixture.TASKS", {"clean": task})
    mixture = Mixture({"clean": 1.0}, large, scales=True)
    assert mixture.batch(16, 72, seeded()).clean.min() == 1
    darkest = {float(mixture.batch(16, 40, seeded(seed)).clean.min()) for seed in range(12)}
    assert darkest == {0, 1}  # at a half both are drawn, at a third again only the white one


def test_what_comes_from_outside_a_patch_comes_from_the_picture(own_copy, monkeypatch):
    """Columns that brighten by a grey level each, moved to the right by five: all are five levels darker."""
    for path in (own_copy / "train/clean/photos").iterdir():
        Image.fromarray(np.tile(np.arange(88, dtype=np.uint8)[:, None], (80, 1, 3))).save(path)
    ramps, _ = load_pictures(own_copy, ["photos"])

    def moved(patches, generator):
        return patches.clean.roll(5, -1)

    for margin in (0, 8):
        task = replace(TASKS["clean"], sources=("photos",), degrade=moved, margin=margin)
        monkeypatch.setattr("anyir.data.mixture.TASKS", {"clean": task})
        for size, room in ((64, 8), (74, 3), (80, 0)):  # beside a patch in pictures of 80
            degraded, clean = Mixture({"clean": 1.0}, ramps).batch(8, size, seeded())
            assert degraded.shape == clean.shape == (8, 3, size, size)
            darker = (clean - degraded).abs().mul(255).round()
            wrong = (darker != 5).any(dim=(0, 1, 2)).sum()
            assert wrong == 5 - min(5, margin, room)


class HostReads(TorchDispatchMode):
    """Records what makes the host wait for an accelerator: values read from it, copied to it, or checked by it."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func._schema.name
        if any(word in name for word in ("_local_scalar_dense", "lift_fresh", "linalg", "nonzero")):
            self.found.append(name)
        return func(*args, **(kwargs or {}))


def test_the_recorder_of_host_reads_sees_them():
    matrix = torch.eye(2)
    with HostReads() as reads:
        float(matrix[0, 0]), torch.tensor([1.0]), torch.linalg.inv(matrix), matrix[matrix > 0]
    assert len(set(reads.found)) >= 4


def test_making_a_batch_never_makes_the_host_wait_for_the_device(pictures, tasks_on_tiny_sets):
    mixture = Mixture(dict.fromkeys(tasks_on_tiny_sets, 1.0), pictures)
    mixture.batch(len(mixture.tasks), 32, seeded())  # what is copied once and kept
    for name in mixture.tasks:
        generator = seeded()
        with HostReads() as reads:
            mixture.task_batch(name, 2, 32, generator)
        assert reads.found == [], name


def test_an_accelerators_generator_is_not_drawn_from_on_the_host():
    def accelerator(*state):
        state = torch.tensor(state, dtype=torch.uint8)
        return SimpleNamespace(device=torch.device("cuda"), get_state=lambda: state)

    draws = [torch.rand((), generator=_on_host(accelerator(*state))) for state in ((1, 0), (1, 0), (1, 4))]
    assert draws[0] == draws[1] != draws[2]
    generator = seeded()
    assert _on_host(generator) is generator


def test_a_batch_depends_on_nothing_but_the_generator(pictures, tasks_on_tiny_sets):
    weights = {"noise25": 1.0, "light_rain": 1.0, "blur": 1.0, "haze": 1.0}
    first = Mixture(weights, pictures)
    first.batch(4, 32, seeded(5))
    ours, theirs = first.batch(4, 32, seeded(3)), Mixture(weights, pictures).batch(4, 32, seeded(3))
    assert torch.equal(ours.degraded, theirs.degraded) and torch.equal(ours.clean, theirs.clean)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"nose25": 1.0}, "nose25"),
        ({"noise25": -1.0}, "noise25"),
        ({"noise25": float("nan")}, "noise25"),
        ({"noise25": 0.0}, "no task"),
        ({}, "no task"),
    ],
)
def test_impossible_mixtures(weights, message):
    with pytest.raises(ConfigurationError, match=message):
        sources_of(weights)


def test_sources_of_tasks_without_weight_are_not_needed():
    assert sources_of({"lowlight": 1.0, "rain_pairs": 0.0}) == ("lowlight",)
