"""What must not be set side by side in README and docs."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest

from anyir.evaluation.results import load_results
from anyir.inference import default_name

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("tool", ROOT / "tools" / "make_readme_results.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def standard():
    return load_results(ROOT / "results" / default_name() / "results.json")


def of_other_pictures(results):
    (first, *rest) = results.sets
    return replace(results, sets=(replace(first, images=first.images[1:]), *rest))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda r: replace(r, weights={**r.weights, "sha256": "0" * 64}), "weights"),
        (lambda r: replace(r, settings={**r.settings, "guard": False}), "guard"),
        (lambda r: replace(r, settings={**r.settings, "seed": 1}), "seed"),
        (lambda r: replace(r, conventions={**r.conventions, "noise": "cut off"}), "conventions"),
        (of_other_pictures, "pictures of cbsd68-15"),
        (lambda r: replace(r, sets=(replace(r.sets[0], name="mine"),)), "pictures of mine"),
    ],
)
def test_results_that_differ_in_more_than_quality_are_refused(tool, standard, change, named):
    with pytest.raises(ValueError, match=f"not to be compared with results/s: {named}; run anyir evaluate"):
        tool.quality_block("s", standard, change(standard))


def test_quality_other_machines_and_fewer_sets_make_no_difference(tool, standard):
    assert "variants" in standard.conventions
    plain = {key: value for key, value in standard.conventions.items() if key != "variants"}
    elsewhere = {**standard.settings, "quality": "best", "processor": "another", "suite": "five"}
    best = replace(standard, settings=elsewhere, conventions=plain, sets=standard.sets[2:5])
    block = tool.quality_block("s", standard, best)
    rows = [line for line in block.splitlines() if line.startswith("| ")]
    stars = [r"\*" in row.split(" | ")[0] for row in rows[1:]]
    assert stars == [not each.official for each in standard.sets[2:5]] and True in stars and False in stars


def gained(each, decibels):
    images = [
        replace(image, restored=replace(image.restored, psnr=image.restored.psnr + decibels))
        for image in each.images
    ]
    return replace(each, images=tuple(images))


def test_the_better_quality_of_each_set_is_bold(tool, standard):
    pairs = zip(standard.sets[:3], (0.25, -0.25, 0.0), strict=True)
    best = replace(standard, sets=tuple(gained(each, decibels) for each, decibels in pairs))
    block = tool.quality_block("s", standard, best)
    rows = [line.split(" | ")[2:4] for line in block.splitlines() if line.startswith("| ")][1:]
    bold = [[cell.startswith("**") for cell in row] for row in rows]
    assert bold == [[False, True], [True, False], [True, True]]
