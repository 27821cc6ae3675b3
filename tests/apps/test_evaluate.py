from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import typer
from click.testing import Result
from onnx import TensorProto, helper
from typer.testing import CliRunner

import anyir.apps.evaluate
from anyir.apps.console import Interrupted
from anyir.apps.evaluate import evaluate
from anyir.errors import AnyirError, DataError, OutputError, UsageError, WeightsNotFound
from anyir.evaluation.results import load_results, summary
from anyir.model.checkpoint import find_checkpoint, load_checkpoint, save_checkpoint
from anyir.model.config import NetworkConfig
from anyir.model.export import export_onnx
from anyir.model.network import AnyIR
from anyir.picture import write_image

WRITTEN = {
    *("results.json", "results.md", "tables.md"),
    *(f"tables-{name}.{kind}" for name in ("complexity", "times") for kind in ("csv", "json")),
}
"""What every evaluation leaves behind."""

app = typer.Typer()
app.command()(evaluate)


def command(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def failure(*arguments: str | Path) -> AnyirError:
    error = command(*arguments).exception
    assert isinstance(error, AnyirError), error
    return error


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two rain pairs, grey 100 with "rain" of +51 everywhere, and one clean picture."""
    clean = np.full((64, 64, 3), 100, np.uint8)
    folder = tmp_path / "data" / "test"
    for part in ("Rain100L/input", "Rain100L/target", "CBSD68"):
        (folder / part).mkdir(parents=True)
    for name in ("1", "2"):
        write_image(clean + np.uint8(51), folder / "Rain100L" / "input" / f"{name}.png")
        write_image(clean, folder / "Rain100L" / "target" / f"{name}.png")
    write_image(clean, folder / "CBSD68" / "a.png")
    return tmp_path / "data"


@pytest.fixture
def darker(tmp_path: Path) -> Path:
    """A "network" that takes 0.1 off every value."""
    shape = ["n", 3, "h", "w"]
    graph = helper.make_graph(
        [helper.make_node("Sub", ["degraded", "tenth"], ["restored"])],
        "darker",
        [helper.make_tensor_value_info("degraded", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("restored", TensorProto.FLOAT, shape)],
        [helper.make_tensor("tenth", TensorProto.FLOAT, [], [0.1])],
    )
    path = tmp_path / "darker.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path


def test_a_network_is_scored_and_its_results_written(data, darker, tmp_path):
    out = tmp_path / "runs" / "darker"
    done = command("--weights", darker, "--data", data, "--suite", "all", "-o", out, "--device", "cpu")
    assert done.exit_code == 0, done.output
    results = load_results(out / "results.json")
    brief = summary(results)
    assert brief["sets"]["rain100l"]["input_psnr"] == pytest.approx(13.979, abs=0.001)
    assert brief["sets"]["rain100l"]["psnr"] == pytest.approx(20, abs=0.001)
    assert brief["clean_psnr"] == pytest.approx(20, abs=0.001)
    assert results.weights["name"] == "darker" and len(results.weights["sha256"] or "") == 64
    assert results.settings["provider"] == "CPUExecutionProvider"
    assert "gopro" in results.absent and "rain100l" not in results.absent
    document = (out / "results.md").read_text(encoding="utf-8")
    assert "Rain100L" in done.stdout and done.stdout.strip() in document
    assert {path.name for path in out.iterdir()} == WRITTEN | {
        f"tables-{name}.{kind}" for name in ("three", "five", "single") for kind in ("csv", "json")
    }


def test_the_recorded_command_repeats_the_run(data, tmp_path):
    arguments = ["--weights", "identity", "--data", data, "--set", "cbsd68-15", "--set", "cbsd68-50"]
    first = tmp_path / "first"
    assert command(*arguments, "--seed", "5", "--noise-rounding", "truncate", "-o", first).exit_code == 0
    words = load_results(first / "results.json").command.split()
    assert words[:2] == ["anyir", "evaluate"] and "--threads" not in words
    again = tmp_path / "again"
    assert command(*words[2:-1], again).exit_code == 0
    sets = [json.loads((run / "results.json").read_text(encoding="utf-8"))["sets"] for run in (first, again)]
    psnrs = [{name: each["psnr"] for name, each in found.items()} for found in sets]
    assert psnrs[0] == psnrs[1]
    assert list(psnrs[0]) == ["cbsd68-15", "cbsd68-50"]
    assert psnrs[0]["cbsd68-15"] == pytest.approx(24.6, abs=0.1)


def test_identity_leaves_everything_as_it_is(data, tmp_path):
    assert command("--weights", "identity", "--data", data / "test", "-o", tmp_path).exit_code == 0
    results = load_results(tmp_path / "results.json")
    assert [each.gain for each in results.sets if each.task != "clean"] == [0] * 6
    assert results.sets[0].megapixels_per_second is None
    assert results.weights == {"name": "identity", "sha256": None}
    assert summary(results)["clean_psnr"] == 100


def test_existing_results_are_refused_before_any_work(data, tmp_path):
    (tmp_path / "results.md").write_text("mine")
    arguments = ["--weights", "identity", "--data", data, "-o", tmp_path]
    done = command(*arguments)
    assert isinstance(done.exception, OutputError) and done.stderr == ""  # no set was scored
    assert "results.md exists already; give --overwrite" in str(done.exception)
    error = failure("--weights", "no-such.onnx", *arguments[2:], "--overwrite")
    assert isinstance(error, WeightsNotFound)
    assert (tmp_path / "results.md").read_text() == "mine"  # a failed run replaces nothing
    assert command(*arguments, "--overwrite").exit_code == 0
    assert (tmp_path / "results.md").read_text(encoding="utf-8").startswith("# Evaluation of identity")


@pytest.fixture
def interrupt_at(monkeypatch):
    """interrupt_at(n): Ctrl-C while the n-th picture is restored; 0 for never. Gives the list of those restored."""
    from anyir.evaluation import run

    restored: list[float] = []

    def interrupt_at(number):
        def evaluate_set(pairs, evaluated, restore, *rest):
            def counted(image):
                if len(restored) + 1 == number:
                    raise KeyboardInterrupt
                restored.append(float(image.mean()))
                return restore(image)

            return original(pairs, evaluated, counted, *rest)

        monkeypatch.setattr(run, "evaluate_set", evaluate_set)
        return restored

    original = run.evaluate_set
    return interrupt_at


def test_interrupting_at_the_first_picture_leaves_nothing(data, tmp_path, interrupt_at):
    interrupt_at(1)
    assert command("--weights", "identity", "--data", data, "-o", tmp_path / "out").exit_code == 130
    assert list((tmp_path / "out").iterdir()) == []


def test_an_interrupted_evaluation_goes_on_where_it_stopped(data, darker, tmp_path, interrupt_at):
    arguments = ["--weights", darker, "--data", data, "--conventions", "-o"]
    interrupt_at(0)
    assert command(*arguments, tmp_path / "whole").exit_code == 0
    restored = interrupt_at(0)
    everything = len(restored)
    restored.clear()
    interrupt_at(5)
    out = tmp_path / "out"
    stopped = command(*arguments, out).exception
    assert isinstance(stopped, Interrupted) and "2 pictures done; the same command goes on" in str(stopped)
    assert [path.name for path in out.iterdir()] == ["darker.unfinished"]
    done = len(restored)
    interrupt_at(0)
    assert command(*arguments, out).exit_code == 0
    assert len(restored) - done == everything - 4  # two noisy pictures, each restored with two kinds of noise
    assert {path.name for path in out.iterdir()} >= WRITTEN and not list(out.glob("*.unfinished"))
    whole, resumed = (load_results(folder / "results.json") for folder in (tmp_path / "whole", out))
    assert [(s.name, s.psnr, s.ssim, s.variants) for s in resumed.sets] == [
        (s.name, s.psnr, s.ssim, s.variants) for s in whole.sets
    ]


def test_who_interrupts_the_writing_is_told_what_goes_on(data, darker, tmp_path, monkeypatch, interrupt_at):
    arguments = ["--weights", darker, "--data", data, "-o", tmp_path / "out"]
    real = anyir.apps.evaluate.write_atomically
    written = []

    def interrupted(path, content):
        if written:
            raise KeyboardInterrupt
        written.append(path)
        real(path, content)

    monkeypatch.setattr("anyir.apps.evaluate.write_atomically", interrupted)
    stopped = command(*arguments).exception
    assert isinstance(stopped, Interrupted) and "the same command with --overwrite goes on" in str(stopped)
    monkeypatch.setattr("anyir.apps.evaluate.write_atomically", real)
    restored = interrupt_at(0)
    assert command(*arguments, "--overwrite").exit_code == 0 and not restored


def test_what_was_begun_with_other_settings_is_not_gone_on_with(data, darker, tmp_path, interrupt_at):
    out = tmp_path / "out"
    interrupt_at(3)
    assert isinstance(command("--weights", darker, "--data", data, "-o", out).exception, Interrupted)
    interrupt_at(0)
    error = failure("--weights", darker, "--data", data, "-o", out, "--seed", "1")
    assert isinstance(error, OutputError)
    assert "darker.unfinished is of an evaluation with other conventions and settings" in str(error)
    assert (
        command("--weights", darker, "--data", data, "-o", out, "--seed", "1", "--overwrite").exit_code == 0
    )
    assert {path.name for path in out.iterdir()} >= WRITTEN and not list(out.glob("*.unfinished"))


def test_a_checkpoint_is_evaluated_by_pytorch_and_scores_what_its_export_does(data, tmp_path):
    network = AnyIR(NetworkConfig(width=8, blocks=(1, 1, 1, 1), heads=(1, 1, 1, 1), refinement_blocks=1))
    checkpoint = tmp_path / "mine.safetensors"
    save_checkpoint(checkpoint, network.state_dict(), network.config, {"name": "mine"})
    export_onnx(load_checkpoint(checkpoint), tmp_path / "mine.onnx")
    found = []
    for weights in (checkpoint, tmp_path / "mine.onnx"):
        out = tmp_path / weights.suffix
        done = command(
            "--weights", weights, "--data", data, "--suite", "derain", "-o", out, "--device", "cpu"
        )
        assert done.exit_code == 0, done.output
        found.append(load_results(out / "results.json"))
    assert [each.settings["provider"] for each in found] == ["PyTorch on the CPU", "CPUExecutionProvider"]
    assert [each.weights["name"] for each in found] == ["mine", "mine"]
    assert found[0].sets[0].psnr == pytest.approx(found[1].sets[0].psnr, abs=1e-3)


@pytest.mark.slow
def test_engines_and_threads_agree_on_the_shipped_weights(data_dir, tmp_path):
    """One thread, two threads, and PyTorch on the checkpoint that the ONNX file was exported from.

    In single precision: an export in half precision rounds the folded weights once more, which is another network.
    """
    checkpoint = find_checkpoint("anyir-s")
    exported = tmp_path / "anyir-s.onnx"
    export_onnx(load_checkpoint(checkpoint), exported, storage="fp32")
    ways = (exported, "--threads", "1"), (exported, "--threads", "2"), (checkpoint, "--engine", "torch")
    scores = []
    for name, (weights, *options) in enumerate(ways):
        arguments = [
            "--weights",
            weights,
            "--data",
            data_dir,
            "--set",
            "haze-partial",
            "-o",
            tmp_path / f"{name}",
        ]
        assert command(*arguments, *options).exit_code == 0
        scores.append(load_results(tmp_path / f"{name}" / "results.json").sets[0].psnr)
    assert scores == pytest.approx([scores[0]] * 3, abs=1e-3)


def test_peers_stand_in_the_same_tables(data, darker, tmp_path):
    before = tmp_path / "before"
    assert command("--weights", "identity", "--data", data, "--suite", "derain", "-o", before).exit_code == 0
    out = tmp_path / "out"
    peers = ["--peer", darker, "--peer", before / "results.json"]
    arguments = ["--weights", "anyir-s", "--data", data, "--suite", "derain", *peers, "-o", out]
    assert command(*arguments).exit_code == 0
    assert {"results.json", "results-darker.json", "results-darker.md"} <= {
        path.name for path in out.iterdir()
    }
    own, peer = (load_results(out / f"{name}.json") for name in ("results", "results-darker"))
    assert own.model is not None and own.model.parameters == 993_699 and own.model.peak_memory_224_bytes
    assert peer.sets[0].psnr == pytest.approx(20, abs=0.001)
    assert peer.command == own.command and str(darker) in own.command
    table = (out / "tables.md").read_text(encoding="utf-8")
    assert all(
        f"| {name}" in table for name in ("AnyIR", "anyir-s, measured", "darker, measured", "degraded input")
    )
    lines = (out / "tables-times.csv").read_text(encoding="utf-8").splitlines()
    rows = {row["method"]: row for row in csv.DictReader(lines)}
    assert rows["darker"]["rain100l_seconds"] == ""  # two pictures are not the whole set
    error = failure(*arguments[:-1], tmp_path / "new", "--peer", tmp_path / "none.json")
    assert isinstance(error, DataError) and "none.json" in str(error)
    assert not (tmp_path / "new").exists()


def test_an_interruption_during_a_peer_loses_nothing(data, darker, tmp_path, interrupt_at):
    out = tmp_path / "out"
    arguments = ["--weights", "identity", "--peer", darker, "--data", data, "--suite", "derain", "-o", out]
    interrupt_at(4)  # two pictures of the identity, one of the peer
    assert "3 pictures done" in str(command(*arguments).exception)
    assert sorted(path.name for path in out.iterdir()) == ["darker.unfinished", "identity.unfinished"]
    restored = interrupt_at(0)
    restored.clear()
    assert command(*arguments).exit_code == 0
    assert len(restored) == 1 and not list(out.glob("*.unfinished"))


def test_an_interrupted_replacement_goes_on_too_and_leaves_nothing_old(data, darker, tmp_path, interrupt_at):
    out = tmp_path / "out"
    everything = ["--weights", darker, "--peer", "identity", "--data", data, "--figures", "-o", out]
    assert command(*everything, "--suite", "derain").exit_code == 0
    (out / "mine.txt").write_text("mine")
    new = ["--weights", "identity", "--data", data, "--set", "rain100l", "--suite", "all", "-o", out]
    assert isinstance(failure(*new), OutputError)
    interrupt_at(2)
    assert isinstance(command(*new, "--overwrite").exception, Interrupted)
    assert load_results(out / "results.json").weights["name"] == "darker"  # until there is something better
    restored = interrupt_at(0)
    restored.clear()
    assert command(*new, "--overwrite").exit_code == 0
    assert len(restored) == 1 and load_results(out / "results.json").weights["name"] == "identity"
    assert not list(out.glob("results-*")) and not list(out.glob("figures/*"))
    assert (out / "mine.txt").exists()


def test_replacing_results_takes_nothing_of_the_users_away(data, darker, tmp_path):
    out = tmp_path / "out"
    arguments = ["--weights", darker, "--data", data, "--suite", "derain", "--figures", "-o", out]
    assert command(*arguments, "--peer", "identity").exit_code == 0
    mine = [
        "results-mine.md",
        "results-2024.json",
        "tables-mine.xlsx",
        "figures/mine.png",
        "figures/holiday.jpg",
    ]
    for name in mine:
        (out / name).write_bytes(b"mine")
    replaced = ["--weights", "identity", "--data", data, "--suite", "derain", "-o", out, "--overwrite"]
    assert command(*replaced).exit_code == 0
    assert all((out / name).read_bytes() == b"mine" for name in mine)
    assert not (out / "results-identity.json").exists() and not (out / "figures" / "gain.png").exists()


def test_what_cannot_be_drawn_leaves_the_older_results(data, darker, tmp_path, monkeypatch):
    out = tmp_path / "out"
    arguments = ["--data", data, "--suite", "derain", "--figures", "-o", out]
    assert command("--weights", darker, *arguments).exit_code == 0
    before = {path: path.read_bytes() for path in out.rglob("*.*")}

    def broken(*_):
        raise DataError("a picture went away")

    monkeypatch.setattr("anyir.evaluation.figures.set_panels", broken)
    assert isinstance(failure("--weights", "identity", *arguments, "--overwrite"), DataError)
    assert {path: path.read_bytes() for path in before} == before


def test_figures_of_an_earlier_evaluation_are_not_replaced_unasked(data, tmp_path):
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "gain.png").write_bytes(b"mine")
    error = failure("--weights", "identity", "--data", data, "-o", tmp_path)
    assert isinstance(error, OutputError) and "gain.png exists already" in str(error)


def test_weights_of_one_name_stand_beside_each_other(data, darker, tmp_path):
    other = onnx.load(darker)
    other.graph.initializer[0].CopyFrom(helper.make_tensor("tenth", TensorProto.FLOAT, [], [0.05]))
    (tmp_path / "other").mkdir()
    onnx.save(other, tmp_path / "other" / "darker.onnx")
    out = tmp_path / "out"
    arguments = ["--weights", darker, "--data", data, "--suite", "derain", "--figures", "-o", out]
    assert command(*arguments, "--peer", tmp_path / "other" / "darker.onnx").exit_code == 0
    (peer,) = out.glob("results-darker-*.json")
    assert load_results(peer).sets[0].psnr < load_results(out / "results.json").sets[0].psnr
    assert len(list((out / "figures").glob("darker-*-rain100l.jpg"))) == 2
    error = failure(*arguments[:-1], tmp_path / "new", "--peer", darker)
    assert isinstance(error, UsageError) and "is the same as" in str(error)


def test_clean_pictures_alone_need_no_chart_of_gains(data, tmp_path):
    arguments = [
        "--weights",
        "identity",
        "--data",
        data,
        "--set",
        "clean",
        "--figures",
        "-o",
        tmp_path / "out",
    ]
    assert command(*arguments).exit_code == 0
    assert [path.name for path in (tmp_path / "out" / "figures").iterdir()] == ["identity-clean.jpg"]


def test_a_file_called_identity_is_not_the_degraded_input(data, darker, tmp_path):
    named = darker.rename(tmp_path / "identity.onnx")
    arguments = ["--weights", named, "--data", data, "--suite", "derain", "-o", tmp_path / "out"]
    assert command(*arguments).exit_code == 0
    table = (tmp_path / "out" / "tables.md").read_text(encoding="utf-8")
    assert "| identity, measured" in table and "| degraded input" not in table


def test_figures_are_drawn_where_asked(data, darker, tmp_path):
    out = tmp_path / "out"
    arguments = ["--weights", darker, "--data", data, "--set", "rain100l", "--figures"]
    assert command(*arguments, "-o", out).exit_code == 0
    assert sorted(path.name for path in (out / "figures").iterdir()) == ["darker-rain100l.jpg", "gain.png"]
    error = failure(*arguments)
    assert isinstance(error, UsageError) and "give -o OUT" in str(error)


def test_conventions_are_a_table_of_their_own(data, darker, tmp_path):
    done = command("--weights", darker, "--data", data, "--suite", "derain", "--conventions", "-o", tmp_path)
    assert "under other conventions" in done.stdout
    assert "on Y, Gaussian, rounded" in (tmp_path / "results.md").read_text(encoding="utf-8")
    assert "under other conventions" not in command("--weights", darker, "--data", data).stdout


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (["--suite", "six"], UsageError, "unknown suite 'six'"),
        (["--suite", "derain", "--set", "lolv1"], UsageError, "has no set 'lolv1'"),
        (["--suite", "lowlight"], DataError, r"none of the sets asked for; .*eval15"),
        (["--noise-rounding", "up"], UsageError, "'round' or 'truncate'"),
        (["--tile", "big"], UsageError, "--tile 'big'"),
        (["--engine", "torch", "--peer", "x.onnx"], UsageError, "runs checkpoints, not x.onnx"),
        (["--peer", "identity"], UsageError, "--peer identity is the same as identity"),
        (["--peer", "none.onnx"], WeightsNotFound, "none.onnx"),
        (["--engine", "steam"], UsageError, "--engine 'steam': must be one of auto, onnx, torch"),
    ],
)
def test_impossible_requests(data, arguments, kind, message):
    error = failure("--weights", "identity", "--data", data, *arguments)
    assert type(error) is kind
    with pytest.raises(kind, match=message):
        raise error


def test_an_impossible_device_is_refused(data, darker):
    error = failure("--weights", darker, "--data", data, "--device", "abacus")
    assert isinstance(error, UsageError) and "abacus" in str(error)


def test_without_an_output_only_the_table_is_printed(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    done = command("--weights", "identity", "--data", data, "--suite", "derain")
    assert done.exit_code == 0 and done.stdout.startswith("| set ")
    assert "Rain100L: 13.98 → 13.98 dB, 2 pictures" in done.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_the_self_ensemble_is_evaluated_and_says_so(narrow_minded, tmp_path):
    (tmp_path / "test" / "CBSD68").mkdir(parents=True)
    write_image(np.full((96, 128, 3), 200, np.uint8), tmp_path / "test" / "CBSD68" / "a.png")
    given = ("--data", tmp_path, "--weights", narrow_minded({"name": "ours"}), "--set", "clean")
    done = command(*given, "--quality", "best", "-o", tmp_path / "out")
    assert done.exit_code == 0
    assert done.stderr.startswith("device cpu: this ONNX Runtime has no provider for a GPU")
    assert "device" not in command(*given, "--device", "cpu").stderr
    results = load_results(tmp_path / "out" / "results.json")
    assert results.settings["quality"] == "best" and "--quality best" in results.command
    refused = str(failure(*given, "--quality", "better"))
    assert refused == "--quality 'better': must be one of standard, best"


@pytest.mark.parametrize(
    ("header", "options", "guard", "loss"),
    [
        ({"name": "ours"}, (), True, 64),
        ({"name": "ours"}, ("--no-guard",), False, 128),
        (None, (), False, 128),  # another's network, as its authors made it
    ],
)
def test_ours_is_evaluated_with_the_guard_as_users_have_it(
    header, options, guard, loss, narrow_minded, tmp_path
):
    (tmp_path / "test" / "CBSD68").mkdir(parents=True)
    write_image(np.full((96, 128, 3), 200, np.uint8), tmp_path / "test" / "CBSD68" / "a.png")
    given = ("--data", tmp_path, "--weights", narrow_minded(header), "--set", "clean", "-o", tmp_path / "out")
    assert command(*given, *options).exit_code == 0
    results = load_results(tmp_path / "out" / "results.json")
    assert results.settings["guard"] is guard
    assert results.sets[0].psnr == pytest.approx(-20 * np.log10(loss / 512), abs=1e-3)
    assert ("--no-guard" in results.command) == bool(options)
    assert results.settings["quality"] == "standard" and "--quality" not in results.command
