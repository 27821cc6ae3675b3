import json

import pytest
from matplotlib.text import Text

from anyir.errors import UsageError
from anyir.evaluation.benchmark import Benchmark, Case, PhotoTiming, Timing, Way
from anyir.evaluation.benchmark_figure import OTHERS, OURS, _draw, benchmark_figure
from anyir.evaluation.benchmark_report import to_json, to_markdown

PLAIN = Way("PyTorch", "torch", "/somewhere/plain.safetensors", 224**2 * 1000)
EXPORTED = Way("exported", "onnx", "/somewhere/exported.onnx", 224**2 * 1000)
PEER = Way("a|peer.onnx", "onnx", "/somewhere/peer.onnx")

SETTINGS = {
    "weights": {"name": "mine", "sha256": "ab" * 32},
    "processor": "Abacus 3",
    "threads": 1,
    "rounds": 2,
    "versions": {"python": "3.11.7", "anyir": "0.1"},
    "date": "2020-02-02T00:00:00+00:00",
    "command": "anyir benchmark --size 100",
}


@pytest.fixture
def benchmark():
    return Benchmark(
        (
            Timing(Case(PLAIN, 1000), ((2.0, 2.4), (2.2, 3.0)), "PyTorch on the CPU", 812_000_000, 0.0),
            Timing(Case(EXPORTED, 1000), ((0.5,), (0.05,)), "CPUExecutionProvider", None, 2.4e-6),
            Timing(Case(PEER, 1000), error="ran out of memory"),
        ),
        {"float32": 160e9},
        (PhotoTiming(4000, 3000, 77, 0.25, 60.0, 0.5, 1.234, 400_000_000, 2),),
        ("a photograph of 9x9 cannot be restored: gone",),
        SETTINGS,
    )


def cells(markdown, start):
    line = next(line for line in markdown.splitlines() if line.startswith(f"| {start}"))
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def test_a_line_says_what_a_way_took(benchmark):
    text = to_markdown(benchmark)
    plain = ["PyTorch", "1 × 1000×1000", "2000", "2300", "2150 to 2550", "2.00", "1.00×", "1%", "812", "0"]
    exported = [
        "exported",
        "1 × 1000×1000",
        "50.0",
        "275",
        "162 to 388",
        "0.05",
        "40.00×",
        "25%",
        "–",
        "2e-06",
    ]
    assert cells(text, "PyTorch") == plain
    assert cells(text, "exported") == exported
    assert cells(text, "a\\|peer") == ["a\\|peer.onnx", "1 × 1000×1000", *["–"] * 8]
    assert "a\\|peer.onnx at 1000: ran out of memory." in text
    assert "\n\na photograph of 9x9 cannot be restored: gone.\n" in text
    assert "Ran on: PyTorch: PyTorch on the CPU; exported: CPUExecutionProvider." in text


def test_a_photograph_has_its_work_and_its_allowance(benchmark):
    photo = ["12.0 MP, 4000×3000", "2", "77", "0.25", "60.0", "0.50", "5.00", "1.23", "400", "572"]
    assert cells(to_markdown(benchmark), "12.0 MP") == photo


def test_the_report_says_how_it_was_made(benchmark):
    text = to_markdown(benchmark)
    assert text.startswith("# Speed: mine on Abacus 3, 1 thread\n")
    assert (
        "Matrix product here: 160 GFLOP/s in float32. 2 rounds. python 3.11.7, anyir 0.1; 2020-02-02" in text
    )
    assert "```sh\nanyir benchmark --size 100\n```" in text


def test_programs_get_every_run_and_no_path(benchmark):
    content = json.loads(to_json(benchmark))
    assert "somewhere" not in to_json(benchmark)
    first = content["timings"][0]
    assert first["rounds_seconds"] == [[2.0, 2.4], [2.2, 3.0]]
    assert (first["best_seconds"], first["speedup"], first["peak_bytes"]) == (2.0, 1.0, 812_000_000)
    assert content["timings"][2]["error"] == "ran out of memory"
    assert content["timings"][2]["best_seconds"] is None
    assert content["photos"][0]["restore_seconds"] == 60.0
    assert content["matrix_operations_per_second"] == {"float32": 160e9}
    assert content["settings"] == SETTINGS


def test_a_bar_is_the_shortest_run_and_its_line_ends_at_the_median(benchmark):
    figure = _draw(benchmark)
    (axes,) = figure.axes
    assert [bar.get_width() for bar in axes.patches] == [2.0, 0.05]
    assert [bar.get_facecolor() for bar in axes.patches] == [_rgba(OTHERS), _rgba(OURS)]
    (lines,) = axes.collections
    assert [segment[1][0] for segment in lines.get_segments()] == [2.3, 0.275]
    texts = [text.get_text() for text in axes.findobj(Text)]
    assert "  0.05 s, 40.00×" in texts
    assert "1000×1000" in texts
    assert axes.get_xlim()[0] == 0
    assert [label.get_text() for label in axes.get_yticklabels()] == ["PyTorch", "exported"]
    assert axes.yaxis_inverted()


def test_every_batch_has_a_chart(benchmark):
    timings = tuple(
        Timing(Case(EXPORTED, size, batch), ((1.0,),)) for size, batch in ((64, 1), (64, 4), (128, 1))
    )
    titles = [axes.get_title(loc="left") for axes in _draw(Benchmark(timings, {})).axes]
    assert titles == ["64×64", "4 images of 64×64", "128×128"]


def test_the_chart_is_the_same_bytes_for_the_same_numbers(benchmark):
    assert benchmark_figure(benchmark, ".png") == benchmark_figure(benchmark, ".png")


def test_what_cannot_be_drawn_is_refused(benchmark):
    with pytest.raises(UsageError, match=r"cannot be written as '\.gif'"):
        benchmark_figure(benchmark, ".gif")
    with pytest.raises(UsageError, match="at least one way that was measured"):
        benchmark_figure(Benchmark(benchmark.timings[2:], {}), ".png")


def _rgba(colour):
    from matplotlib.colors import to_rgba

    return to_rgba(colour)
