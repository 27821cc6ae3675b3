"""What must not be set side by side in README and docs."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest

from anyir.evaluation.results import load_results
from anyir.inference import available, default_name, load_facts

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


def test_what_is_worse_than_the_degraded_pictures_is_never_bold(tool, standard):
    noisy = standard.sets[0]
    assert tool.best_in_bold((noisy, gained(noisy, -noisy.gain - 1))) == [
        f"**{noisy.psnr:.2f}**",
        f"{noisy.input_psnr - 1:.2f}",
    ]
    lost = tool.best_in_bold((gained(noisy, -noisy.gain - 0.04), gained(noisy, -noisy.gain - 1)))
    assert lost == [f"{noisy.input_psnr - 0.04:.2f}", f"{noisy.input_psnr - 1:.2f}"]


def named(results, name, decibels=0.0):
    sets = tuple(gained(each, decibels) for each in results.sets)
    return replace(results, weights={"name": name, "sha256": name}, sets=sets)


def test_weights_stand_side_by_side_on_every_set(tool, standard):
    block = tool.results_block([named(standard, "a"), named(standard, "b", 0.5), named(standard, "c", -0.5)])
    rows = [line for line in block.splitlines() if line.startswith("| ")]
    assert rows[0] == "| test set | pictures | degraded | `a` | `b` | `c` |"
    scored = [each for each in standard.sets if each.input_psnr is not None]
    assert len(rows) == 1 + len(scored) > 5
    for row, each in zip(rows[1:], scored, strict=True):
        cells = [cell.split(" / ")[0] for cell in row.strip("| ").split(" | ")[3:]]
        best = f"{each.psnr + 0.5:.2f}" if each.gain < -0.5 else f"**{each.psnr + 0.5:.2f}**"
        assert cells == [f"{each.psnr:.2f}", best, f"{each.psnr - 0.5:.2f}"]
    clean = next(each for each in standard.sets if each.task == "clean")
    assert f"come back at {clean.psnr:.1f} dB from `a` and {clean.psnr + 0.5:.1f} dB from `b`" in block
    assert "[results/a/results.md](results/a/results.md) and [results/b/results.md]" in block
    assert block.count(standard.command) == 3


@pytest.mark.parametrize(
    ("change", "named_"),
    [
        (lambda r: replace(r, settings={**r.settings, "guard": False}), "guard"),
        (of_other_pictures, "pictures of cbsd68-15"),
        (lambda r: replace(r, sets=r.sets[:-1]), "sets"),
        (lambda r: replace(r, sets=r.sets[::-1]), "sets"),
    ],
)
def test_weights_measured_otherwise_are_not_set_side_by_side(tool, standard, change, named_):
    words = (
        f"results/b/results.md: not to be compared with results/a/results.md: {named_}; run anyir evaluate"
    )
    with pytest.raises(ValueError, match=words):
        tool.results_block([named(standard, "a"), change(named(standard, "b"))])


def test_the_page_has_a_table_for_each_and_all_beside_the_published(tool, standard):
    page = tool.page_block([named(standard, "mine"), named(standard, "other", 0.5)])
    assert page.count(" on every set\n") == 2
    assert "| mine, measured" in page and "| other, measured" in page


def benchmark(name, seconds, **settings):
    said = {
        "processor": "fast",
        "threads": 2,
        "versions": {},
        "weights": {"name": name, "sha256": "0" * 64},
        "command": f"run {name}",
    }
    photos = [
        {
            **{"width": 1000 * n, "height": 1000, "peak_bytes": n * 100e6},
            **{"read_seconds": 0.25, "restore_seconds": n * seconds, "write_seconds": 0.25},
        }
        for n in (1, 4)
    ]
    timings = [
        {"engine": "onnx", "size": 256, "speedup": 1.96},
        {"engine": "torch", "size": 256, "speedup": 1.0},
    ]
    return {"settings": {**said, **settings}, "timings": timings, "photos": photos}


def test_photographs_of_several_benchmarks_stand_in_one_table(tool):
    other = benchmark("b", 10.0)
    del other["photos"][1]
    block = tool.speed_block({"results/x": benchmark("a", 2.0), "results/y": other})
    assert "the exported `a` is\n2.0 times (on 256×256 pixels) as fast" in block
    rows = [line for line in block.splitlines() if line.startswith("| ")]
    assert rows[1:] == ["| 1 MP | 2 | 100 MB | 10 | 100 MB |", "| 4 MP | 8 | 400 MB | – | – |"]
    assert "[results/x/benchmark.md](results/x/benchmark.md) and [results/y/" in block
    assert "run a\nrun b" in block


def test_figures_of_earlier_weights_say_so(tool):
    now = {"name": "anyir", "sha256": load_facts().models["anyir"].sha256}
    assert tool.earlier_weights([now]) == ""
    assert "earlier weights" in tool.earlier_weights([now, {**now, "sha256": "0" * 64}])
    assert "earlier weights" in tool.speed_block({"results/x": benchmark("anyir", 2.0)})
    assert "earlier weights" not in tool.speed_block({"results/x": benchmark("anyir", 2.0, weights=now)})


def test_benchmarks_of_other_machines_are_not_set_side_by_side(tool):
    with pytest.raises(ValueError, match="results/y: not to be compared: processor; run run b"):
        tool.speed_block(
            {"results/x": benchmark("a", 2.0), "results/y": benchmark("b", 2.0, processor="slow")}
        )


def test_the_chart_of_sizes_has_all_weights_that_were_evaluated(tool):
    names = [each.weights["name"] for each in tool.measured_results()]
    assert names == list(available()) and names[0] == default_name() and len(names) == 2
    for chart in tool.size_comparisons(tool.measured_results()):
        assert [method.name for method in chart.ours] == names
    assert "](images/size.png)" in tool.PAGE.read_text(encoding="utf-8") and tool.SIZES.is_file()
