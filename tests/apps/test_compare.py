import numpy as np
import pytest

from anyir.picture import read, write_image


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


def test_before_is_left_and_after_right(anyir, before, after, tmp_path):
    code, out, err = anyir("compare", before, after, "-o", tmp_path / "both.png")
    assert (code, out, err) == (0, "", "")
    pixels = read(tmp_path / "both.png").pixels
    assert pixels.shape == (5, 8, 3)
    assert pixels[2, :, 1].tolist() == [10] * 4 + [200] * 4


def test_an_existing_picture_is_replaced_only_on_request(anyir, before, after, tmp_path):
    (tmp_path / "both.png").write_text("mine")
    code, _, err = anyir("compare", before, after, "-o", tmp_path / "both.png")
    assert code == 1
    assert "both.png" in err
    assert (tmp_path / "both.png").read_text() == "mine"
    assert anyir("compare", before, after, "-o", tmp_path / "both.png", "--overwrite")[0] == 0
    assert read(tmp_path / "both.png").width == 8


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
