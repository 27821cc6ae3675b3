from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from anyir.errors import DataError
from anyir.evaluation.report import markdown, table
from anyir.evaluation.results import (
    EvaluatedModel,
    ImageResult,
    Results,
    Score,
    SetResult,
    bootstrap_interval,
    load_results,
    summary,
    to_json,
)


def image(name: str, before: float | None, after: float, seconds: float = 0.5) -> ImageResult:
    degraded = None if before is None else Score(before, 0.5)
    return ImageResult(name, 100, 200, degraded, Score(after, 0.875), seconds)


RAIN = SetResult(
    "rain100l", "Rain100L", "derain", False, 100, (image("1", 20, 30), image("2", 22, 35), image("3", 24, 31))
)
LOW = SetResult("lolv1", "LOL-v1 eval15", "lowlight", True, 1, (image("9", 8, 17.5),))
CLEAN = SetResult("clean", "Clean", "clean", True, 2, (image("a", None, 40), image("b", None, 100)))


def results(*sets: SetResult) -> Results:
    return Results(
        command="anyir evaluate --weights x.onnx --data d",
        weights={"name": "x", "sha256": "ab" * 32},
        settings={"suite": "all", "threads": None, "seed": 0},
        conventions={"crop": "centre"},
        versions={"python": "3.12"},
        sets=sets,
        absent={"gopro": "GoPro/{input,target}"},
    )


def test_means_are_over_images():
    assert (RAIN.psnr, RAIN.input_psnr, RAIN.gain) == (32, 22, 10)
    assert (RAIN.ssim, RAIN.input_ssim) == (0.875, 0.5)
    assert RAIN.seconds == 1.5
    assert RAIN.megapixels_per_second == pytest.approx(0.06 / 1.5)
    assert replace(LOW, images=(image("9", 8, 8, seconds=0),)).megapixels_per_second is None


def test_bootstrap_interval_has_the_width_of_theory():
    values = np.random.default_rng(4).normal(30, 3, 400)
    interval = bootstrap_interval(values.tolist())
    assert interval is not None
    half = 1.96 * values.std() / 20
    assert interval[0] == pytest.approx(values.mean() - half, abs=0.05)
    assert interval[1] == pytest.approx(values.mean() + half, abs=0.05)
    assert interval == bootstrap_interval(values.tolist())


def test_bootstrap_interval_of_equal_values_and_of_one():
    assert bootstrap_interval([5.0, 5.0, 5.0]) == (5, 5)
    assert bootstrap_interval([5.0]) is None


def test_a_results_file_comes_back_as_it_was(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = results(RAIN, LOW, CLEAN)
    (tmp_path / "runs").mkdir()
    path = tmp_path / "runs" / "results.json"
    path.write_text(to_json(made), encoding="utf-8")
    assert load_results(path.relative_to(tmp_path)) == replace(made, source="runs/results.json")
    assert load_results(path).source == "results.json"  # no absolute path gets into a header


def test_what_is_known_of_the_model_comes_back(tmp_path):
    model = EvaluatedModel(993_699, 3_129_778_176, "recipe derain, 200 pictures", 2_941_759, 61_000_000)
    path = tmp_path / "results.json"
    path.write_text(to_json(replace(results(RAIN), model=model)), encoding="utf-8")
    assert load_results(path).model == model
    assert json.loads(path.read_text(encoding="utf-8"))["model"]["peak_memory_224_bytes"] == 61_000_000


def test_files_from_before_models_were_described_are_read(tmp_path):
    content = json.loads(to_json(results(RAIN)))
    assert content.pop("model") is None
    path = tmp_path / "results.json"
    path.write_text(json.dumps(content))
    assert load_results(path) == replace(results(RAIN), source="results.json")


def test_a_model_with_an_unknown_key_is_damage(tmp_path):
    path = tmp_path / "results.json"
    path.write_text(to_json(results(RAIN)).replace('"model": null', '"model": {"params": 3}'))
    with pytest.raises(DataError, match="damaged"):
        load_results(path)


def test_json_holds_means_for_other_readers_and_every_image():
    content = json.loads(to_json(results(RAIN, CLEAN)))
    rain = content["sets"]["rain100l"]
    assert (rain["psnr"], rain["input_psnr"], rain["gain"], rain["pictures"]) == (32, 22, 10, 3)
    assert rain["psnr_interval"][0] >= 30 and rain["psnr_interval"][1] <= 35
    assert rain["images"][1]["restored"] == {"psnr": 35, "ssim": 0.875}
    assert content["sets"]["clean"]["input_psnr"] is None
    assert content["sets"]["clean"]["images"][0]["degraded"] is None
    assert content["absent"] == {"gopro": "GoPro/{input,target}"}


def test_json_never_holds_an_infinity():
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json(results(replace(CLEAN, images=(image("a", None, float("inf")),))))


def test_summary_keeps_clean_pictures_apart():
    assert summary(results(RAIN, LOW, CLEAN)) == {
        "file": None,
        "sets": {
            "rain100l": {
                "input_psnr": 22,
                "input_ssim": 0.5,
                "psnr": 32,
                "ssim": 0.875,
                "pictures": 3,
                "official": False,
            },
            "lolv1": {
                "input_psnr": 8,
                "input_ssim": 0.5,
                "psnr": 17.5,
                "ssim": 0.875,
                "pictures": 1,
                "official": True,
            },
        },
        "clean_psnr": 70,
    }
    assert summary(results(RAIN))["clean_psnr"] is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not a results file"),
        ("[]", "not a results file"),
        ('{"anyir_evaluation": 2}', "format 1"),
        ('{"anyir_evaluation": 1, "command": "x"}', "damaged"),
    ],
)
def test_files_that_are_not_results_are_refused(tmp_path, content, message):
    path = tmp_path / "results.json"
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        load_results(path)
    with pytest.raises(DataError, match=r"cannot read .*none\.json"):
        load_results(tmp_path / "none.json")


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content["sets"]["rain100l"].update(images=[]),
        lambda content: content["weights"].pop("sha256"),
        lambda content: content["sets"]["rain100l"]["images"][0]["restored"].update(psnr="x"),
        lambda content: content.update(settings=[]),
    ],
)
def test_damage_is_found_when_results_are_read(tmp_path, damage):
    content = json.loads(to_json(results(RAIN)))
    damage(content)
    path = tmp_path / "results.json"
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"results.json is damaged: .*; evaluate again"):
        load_results(path)


def test_the_table_marks_what_does_not_compare():
    lines = table(results(RAIN, LOW, CLEAN))
    assert [cell.strip() for cell in lines[2].split("|")[1:-1]] == [
        "Rain100L \\*",
        "3 of 100",
        "22.00 / 0.5000",
        "32.00 / 0.8750",
        "30.00 to 35.00",
        "+10.00",
        "0",
        "1.5",
        "0.04",
    ]
    assert "\\*" not in lines[4] and " – |" in lines[4]  # official; no interval from one image
    assert lines[5].split("|")[3].strip() == "–"
    assert len({len(line) for line in lines[:6]}) == 1
    assert [cell.strip() for cell in lines[3].split("|")[1:4]] == [
        "GoPro",
        "0 of 1111",
        "–",
    ]  # asked for, absent
    assert "Not found: gopro (looked for GoPro/{input,target})." in lines
    assert not any(line.startswith("\\*") for line in table(results(LOW)))


def test_the_table_says_where_harm_was_done():
    spoilt = replace(RAIN, images=(image("1", 20, 19.5), image("2", 22, 35), image("3", 24, 21)))
    assert [each.name for each in spoilt.harmed] == ["3", "1"]
    lines = table(results(spoilt, LOW, CLEAN))
    assert lines[2].split("|")[7].strip() == "2"
    assert "Rain100L: 2 of 3 came back worse than they went in, 3 by 3.00 dB." in lines
    assert "Clean: against themselves, 70.00 dB on average and 40.00 dB at worst (a)." in lines
    assert not any("LOL" in line for line in lines[7:])


def test_variants_are_averaged_and_shown_where_every_picture_has_them():
    scored = [replace(each, variants={"y": Score(each.restored.psnr + 2, 0.9)}) for each in RAIN.images]
    rain = replace(RAIN, images=tuple(scored))
    assert rain.variants == {"y": Score(34, pytest.approx(0.9))}
    assert replace(RAIN, images=(*scored[:2], RAIN.images[2])).variants == {}
    document = markdown(results(rain, LOW))
    rows = [line for line in document.splitlines() if line.startswith("| Rain100L  ")]
    assert "| 34.00 / 0.9000 |" in rows[-1] and "on Y: PSNR and SSIM on the luma" in document
    assert "other conventions" not in markdown(results(RAIN))


def test_the_document_says_how_it_was_made():
    text = markdown(results(LOW))
    for line in ("    anyir evaluate --weights x.onnx --data d", "- crop: centre", "- seed: 0"):
        assert line in text.splitlines()
    assert "ab" * 32 in text and "threads" not in text
