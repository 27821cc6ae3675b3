from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from anyir.apps import degrade as module
from anyir.apps.degrade import KINDS, degrade, degrade_picture, parse_kind
from anyir.errors import MissingExtra, OutputError, ShapeMismatch, UnreadablePicture, UsageError
from anyir.picture import Metadata, Picture, read, write

GENTLE = {"noise": 0, "rain": 0, "haze": 0, "dark": 0}
"""Numbers at which a degradation leaves a picture as it is."""


def flat(value=128, size=(40, 56), dtype=np.uint8, **kwargs):
    return Picture(np.full((*size, 3), value, dtype), **kwargs)


def textured(size=(40, 56)):
    return Picture(np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8))


def steps(*texts):
    return [parse_kind(text) for text in texts]


@pytest.fixture
def clean_file(tmp_path) -> Path:
    path = tmp_path / "clean.png"
    write(textured(), path)
    return path


def command_line(*arguments):
    app = typer.Typer()
    app.command()(degrade)
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=True)


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_keeps_size_and_type_and_changes_the_picture(name):
    clean = textured((37, 61))
    degraded = degrade_picture(clean, [(KINDS[name], KINDS[name].example)], seed=0)
    assert degraded.pixels.shape == (37, 61, 3)
    assert degraded.pixels.dtype == np.uint8
    assert np.abs(degraded.pixels.astype(int) - clean.pixels).mean() > 1


@pytest.mark.parametrize(("name", "number"), GENTLE.items())
def test_strength_zero_changes_nothing(name, number):
    clean = textured()
    assert np.array_equal(degrade_picture(clean, steps(f"{name}:{number}"), seed=0).pixels, clean.pixels)


def test_noise_has_the_sigma_that_was_asked_for():
    noisy = degrade_picture(flat(128, (256, 256)), steps("noise:10"), seed=0).pixels.astype(float)
    assert noisy.std() == pytest.approx(10, rel=0.02)
    assert noisy.mean() == pytest.approx(
        128, abs=0.1
    )  # rounded, not truncated: that would be half a level less


def test_noise_on_a_grey_picture_stays_grey_and_as_strong():
    noisy = degrade_picture(flat(128, (256, 256), grey=True), steps("noise:10"), seed=0).pixels
    assert np.array_equal(noisy[..., 0], noisy[..., 1]) and np.array_equal(noisy[..., 1], noisy[..., 2])
    assert noisy[..., 0].std() == pytest.approx(10, rel=0.02)


def test_noise_is_in_8_bit_levels_in_16_bit_pictures_too():
    noisy = degrade_picture(flat(128 * 257, (256, 256), np.uint16), steps("noise:10"), seed=0).pixels
    assert noisy.dtype == np.uint16
    assert noisy.std() == pytest.approx(10 * 257, rel=0.02)


def test_haze_is_thicker_at_the_top():
    hazy = degrade_picture(flat(0, (100, 100)), steps("haze:2"), seed=0).pixels
    assert hazy[:20].mean() > hazy[-20:].mean() + 80
    assert hazy.max() <= round(0.90 * 255)


def test_a_stop_of_darkness_halves_the_light():
    dark = degrade_picture(flat(200), steps("dark:1"), seed=0).pixels
    assert np.all(dark == round(200 * 0.5 ** (1 / 2.2)))


def test_blur_of_a_point_is_as_long_as_asked_for():
    point = np.zeros((101, 101, 3), np.uint8)
    point[50, 50] = 255
    blurred = degrade_picture(Picture(point), steps("blur:20"), seed=1).pixels[..., 0]
    rows, columns = np.nonzero(blurred > 10)
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == pytest.approx(20, abs=2)


def test_blur_longer_than_the_picture_is_refused():
    with pytest.raises(ShapeMismatch, match="does not fit"):
        degrade_picture(textured((16, 16)), steps("blur:100"), seed=0)


def test_kinds_are_applied_in_the_order_given():
    dark_then_noisy = degrade_picture(flat(200, (128, 128)), steps("dark:4", "noise:10"), seed=0).pixels
    noisy_then_dark = degrade_picture(flat(200, (128, 128)), steps("noise:10", "dark:4"), seed=0).pixels
    assert dark_then_noisy.std() > 2 * noisy_then_dark.std()


def test_the_seed_decides_and_nothing_else():
    clean, recipe = textured(), steps("rain:1", "noise:5")
    first, again = (degrade_picture(clean, recipe, seed=3).pixels for _ in range(2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, degrade_picture(clean, recipe, seed=4).pixels)


def test_alpha_and_metadata_are_kept():
    alpha = np.arange(40 * 56, dtype=np.uint32).reshape(40, 56).astype(np.uint8)
    clean = flat(alpha=alpha, metadata=Metadata(icc=b"profile", dpi=(300.0, 300.0)))
    degraded = degrade_picture(clean, steps("noise:25"), seed=0)
    assert np.array_equal(degraded.alpha, alpha)
    assert degraded.metadata == clean.metadata


def test_an_unknown_kind_names_the_known_ones():
    with pytest.raises(
        UsageError, match="unknown kind 'fog'; known kinds: noise, rain, haze, blur, dark, jpeg"
    ):
        parse_kind("fog:3")


@pytest.mark.parametrize(
    "text", ["noise", "noise:", "noise:much", "noise:-1", "noise:256", "noise:nan", "jpeg:0"]
)
def test_a_number_that_is_none_or_out_of_bounds_is_refused(text):
    with pytest.raises(UsageError, match="takes a number from"):
        parse_kind(text)


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_the_bounds_themselves_are_allowed(name, kind):
    assert parse_kind(f"{name}:{kind.low}") == (kind, kind.low)
    assert parse_kind(f"{name}:{kind.high}") == (kind, kind.high)


def test_the_command_writes_what_the_function_makes(clean_file, tmp_path):
    out = tmp_path / "degraded.png"
    result = command_line(clean_file, "-o", out, "--kind", "noise:25", "--kind", "dark:1", "--seed", "5")
    assert result.exit_code == 0, result.output
    expected = degrade_picture(read(clean_file), steps("noise:25", "dark:1"), seed=5)
    assert np.array_equal(read(out).pixels, expected.pixels)


def test_the_help_says_every_kind():
    text = " ".join(command_line("--help").output.replace("│", " ").split())
    assert [name for name in KINDS if f"{name}:" not in text] == []


def test_an_existing_result_is_replaced_only_on_request(clean_file, tmp_path):
    out = tmp_path / "degraded.png"
    out.write_bytes(b"precious")
    refused = command_line(clean_file, "-o", out, "--kind", "noise:25")
    assert isinstance(refused.exception, OutputError)
    assert out.read_bytes() == b"precious"
    assert command_line(clean_file, "-o", out, "--kind", "noise:25", "--overwrite").exit_code == 0
    assert read(out).pixels.shape == (40, 56, 3)


def test_the_original_is_never_replaced(clean_file):
    before = clean_file.read_bytes()
    result = command_line(clean_file, "-o", clean_file, "--kind", "noise:25", "--overwrite")
    assert isinstance(result.exception, UsageError)
    assert clean_file.read_bytes() == before


def test_a_missing_picture_is_a_typed_error_and_writes_nothing(tmp_path):
    result = command_line(tmp_path / "none.png", "-o", tmp_path / "out.png", "--kind", "noise:25")
    assert isinstance(result.exception, UnreadablePicture)
    assert list(tmp_path.iterdir()) == []


def test_without_a_kind_there_is_nothing_to_do(clean_file, tmp_path):
    assert command_line(clean_file, "-o", tmp_path / "out.png").exit_code == 2


def test_without_torch_the_message_names_the_extra(clean_file, tmp_path, monkeypatch):
    monkeypatch.setattr("anyir.apps.extras.find_spec", lambda name: None)
    result = command_line(clean_file, "-o", tmp_path / "out.png", "--kind", "noise:25")
    assert isinstance(result.exception, MissingExtra)
    assert "pip install 'anyir[train]'" in str(result.exception)


def test_importing_the_command_imports_no_torch():
    import subprocess
    import sys

    code = f"import sys, {module.__name__}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
