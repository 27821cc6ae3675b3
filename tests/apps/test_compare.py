import re

import numpy as np
import pytest

from anyir.picture import AMPLIFY, compare_pictures, read, write_image


@pytest.fixture
def before(tmp_path):
    path = tmp_path / "before.png"
    write_image(np.full((5, 4, 3), 10, np.uint8), path)
    return path


@pytest.fixture
def after(tmp_path):
    path = tmp_path / "after.png"
    write_image(np.full((5, 4, 3), 200, np.uint8), path)
    return path


def test_before_after_and_difference_are_one_picture(anyir, before, after, tmp_path):
    code, out, err = anyir("compare", before, after, "-o", tmp_path / "both.png")
    assert (code, out, err) == (0, "", "")
    np.testing.assert_array_equal(
        read(tmp_path / "both.png").pixels, compare_pictures(read(before), read(after)).pixels
    )


def test_the_amplification_can_be_chosen(anyir, before, after, tmp_path):
    for factor in (0.5, 1):
        path = tmp_path / f"{factor}.png"
        assert anyir("compare", before, after, "-o", path, "--amplify", factor)[0] == 0
        expected = compare_pictures(read(before), read(after), amplify=factor)
        np.testing.assert_array_equal(read(path).pixels, expected.pixels)


@pytest.mark.parametrize("factor", ["0", "-4", "128", "nan", "inf"])
def test_an_impossible_amplification_is_refused(anyir, before, after, tmp_path, factor):
    code, _, err = anyir("compare", before, after, "-o", tmp_path / "both.png", "--amplify", factor)
    assert code == 2
    assert err.startswith(f"anyir: amplify = {factor}: must be above 0 and at most 127")
    assert not (tmp_path / "both.png").exists()


def test_the_help_names_the_default_amplification(anyir):
    code, out, _ = anyir("compare", "--help")
    assert code == 0
    assert f"; {AMPLIFY:g} by default." in re.sub(r"[\s│]+", " ", out)


def test_the_layout_suits_the_format_that_the_suffix_names(anyir, before, after, tmp_path, monkeypatch):
    monkeypatch.setattr("anyir.picture.compare.MAX_SIDE", {"webp": 500})
    for name in ("both.png", "both.webp"):
        assert anyir("compare", before, after, "-o", tmp_path / name)[0] == 0
    assert read(tmp_path / "both.png").width > 500 > read(tmp_path / "both.webp").width


def test_an_existing_picture_is_replaced_only_on_request(anyir, before, after, tmp_path):
    (tmp_path / "both.png").write_text("mine")
    code, _, err = anyir("compare", before, after, "-o", tmp_path / "both.png")
    assert code == 1
    assert "both.png" in err
    assert (tmp_path / "both.png").read_text() == "mine"
    assert anyir("compare", before, after, "-o", tmp_path / "both.png", "--overwrite")[0] == 0
    assert read(tmp_path / "both.png").width > 8


def test_an_input_is_never_replaced(anyir, before, after, tmp_path):
    content = after.read_bytes()
    code, _, err = anyir("compare", before, after, "-o", tmp_path / "." / "after.png", "--overwrite")
    assert code == 2
    assert "would replace an input" in err
    assert after.read_bytes() == content


def test_two_sizes_are_refused_with_both_names(anyir, before, tmp_path):
    write_image(np.zeros((5, 9, 3), np.uint8), tmp_path / "wide.png")
    code, _, err = anyir("compare", before, tmp_path / "wide.png", "-o", tmp_path / "both.png")
    assert code == 2
    assert "before.png has 4x5 pixels" in err
    assert "wide.png 9x5" in err
    assert not (tmp_path / "both.png").exists()
