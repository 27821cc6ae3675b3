import json

import pytest

from anyir.picture import read_image

ROW = ["lowlight", "lowlight", "8", "×20", "8", "160", "100.0%"]


def test_the_default_recipe_is_counted_and_what_is_absent_is_named(anyir, tiny_data):
    code, out, err = anyir("data", "stats", tiny_data)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].split() == ["task", "sets", "and", "examples", "repeats", "before", "after", "share"]
    assert lines[7].split() == ROW
    assert lines[1].split() == "noise15 wed absent, bsd400 absent ×3 0 0 0.0%".split()
    assert lines[8].split() == ["all", "8", "160"]
    assert "absent: wed, bsd400, rain_train_l, ots, gopro_train" in lines[-1]


def test_no_picture_is_opened(anyir, tiny_data, monkeypatch):
    def opened(*_):
        raise AssertionError("a picture was opened")

    monkeypatch.setattr("anyir.picture.reading._opened", opened)
    assert anyir("data", "stats", tiny_data)[0] == 0


def test_the_recipe_can_be_changed_drawn_and_reported(anyir, tiny_data, tmp_path):
    figure, report = tmp_path / "new" / "a.png", tmp_path / "a.json"
    changes = (
        "--set",
        "repeats.lowlight=5",
        "--set",
        'sources.noise50=["photos"]',
        "--set",
        "repeats.noise50=2",
    )
    code, out, err = anyir("data", "stats", tiny_data, *changes, "-o", figure, "--report", report)
    assert (code, err) == (0, "") and "×5" in out
    values = json.loads(report.read_text())
    assert values["tasks"]["lowlight"]["after"] == 40 and values["tasks"]["lowlight"]["share"] == 0.714286
    assert values["tasks"]["noise50"]["after"] == 16
    assert read_image(figure).shape[1] == 1260
    assert [path.name for path in figure.parent.iterdir()] == ["a.png"]
    figure.write_bytes(b"mine")
    code, _, err = anyir("data", "stats", tiny_data, "-o", figure)
    assert code == 1 and "exists already" in err and figure.read_bytes() == b"mine"
    assert anyir("data", "stats", tiny_data, "-o", figure, "--overwrite")[0] == 0
    assert read_image(figure).shape[1] == 1260


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--recipe", "derain"], "holds none of the sets that the recipe derain draws on"),
        (["--recipe", "derian"], "no recipe 'derian'"),
        (["--set", "repeatz=1"], "did you mean 'repeats'"),
        (["-o", "a.jpg"], "cannot be written as '.jpg'"),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(anyir, tiny_data, arguments, message):
    code, out, err = anyir("data", "stats", tiny_data, *arguments)
    assert (code, out) == (2, "") and message in err and len(err.splitlines()) == 1
