import hashlib
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anyir import __version__
from anyir.apps.console import batch_progress
from anyir.inference import default_name
from anyir.inference.batch_plan import Outcome
from anyir.inference.manifest import NAME
from anyir.picture import Metadata, Picture, read, write, write_image

XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" dc:title="kept"/></rdf:RDF></x:xmpmeta>'
)
RESTORED = 95  # of 100: 0.9 · 100 + 0.02 · 255 = 95.1


def in_a_process(*arguments):
    """A real process, in which Ctrl-C is not ignored even if it is where the tests run."""
    program = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from anyir.apps.cli import main; main(sys.argv[1:])"
    )
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def tree(folder):
    """All files but the manifest."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != NAME)
    return sorted(path.relative_to(folder).as_posix() for path in files)


def test_without_output_results_lie_beside_the_originals(anyir, weights, pictures):
    before = {path: path.read_bytes() for path in pictures.rglob("*.*")}
    code, out, err = anyir("restore", pictures, "--weights", weights)
    assert (code, out) == (0, "")
    assert tree(pictures) == ["a.png", "a.restored.png", "b.jpg", "b.restored.jpg", "sub/c.webp"]
    assert np.unique(read(pictures / "a.restored.png").pixels).tolist() == [RESTORED]
    assert {path: path.read_bytes() for path in before} == before
    device, *lines = err.splitlines()
    assert device.startswith("device cpu: this ONNX Runtime has no ")
    assert lines[0].startswith(f"1/2 {pictures / 'a.png'} -> {pictures / 'a.restored.png'} (32x24, ")
    assert re.fullmatch(
        r"2 pictures restored: \d+\.\d s, \d+\.\d\d megapixels/s, CPUExecutionProvider, weights tiny",
        lines[-1],
    )


def test_one_picture_to_one_file(anyir, weights, pictures, tmp_path):
    code, out, err = anyir(
        "restore", pictures / "b.jpg", "-o", tmp_path / "x.png", "--weights", weights, "-q"
    )
    assert (code, out, err) == (0, "", "")
    assert np.abs(read(tmp_path / "x.png").pixels.astype(int) - RESTORED).max() <= 1


def test_strength_zero_changes_no_pixel(anyir, weights, pictures, tmp_path):
    code, _, _ = anyir("restore", pictures / "a.png", "-o", tmp_path, "--weights", weights, "--strength", 0)
    assert code == 0
    assert np.unique(read(tmp_path / "a.png").pixels).tolist() == [100]


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_gradient_of_sixteen_bits_is_not_posterised(anyir, weights, tmp_path, suffix):
    ramp = 20_000 + np.arange(1000, dtype=np.uint16).reshape(10, 100)  # four levels of 8 bits
    pixels = np.stack([ramp, ramp[::-1], ramp[:, ::-1]], axis=2)
    alpha = (65_535 - 3 * ramp[::-1]).astype(np.uint16)
    write(Picture(pixels, alpha), tmp_path / f"a{suffix}")
    assert anyir("restore", tmp_path / f"a{suffix}", "-o", tmp_path / "out", "--weights", weights)[0] == 0
    restored = read(tmp_path / "out" / f"a{suffix}")
    assert restored.pixels.dtype == np.uint16
    expected = np.rint(0.9 * pixels + 0.02 * 65_535)
    assert np.abs(restored.pixels - expected).max() <= 1
    assert len(np.unique(restored.pixels[..., 0])) > 850, "all the levels that 0.9 times 1000 leaves"
    assert np.array_equal(restored.alpha, alpha)


@pytest.fixture
def travelled(tmp_path):
    """travelled(suffix) → a picture with all that a camera and an editor leave in it."""

    def make(suffix):
        exif = Image.Exif()
        exif[0x010F] = "Anycam"
        exif[0x8825] = {1: "N", 2: (52.0, 31.0, 12.5)}
        exif[0x8769] = {0xA431: "serial 1234", 0x927C: b"maker's note"}
        metadata = Metadata(icc=b"profile" * 40, exif=exif.tobytes()[6:], xmp=XMP, dpi=(300.0, 300.0))
        path = tmp_path / f"a{suffix}"
        write(Picture(np.full((24, 32, 3), 100, np.uint8), metadata=metadata), path)
        return path

    return make


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_the_result_says_what_made_it_and_keeps_what_was_there(anyir, weights, travelled, tmp_path, suffix):
    path = travelled(suffix)
    assert anyir("restore", path, "-o", tmp_path / "out", "--weights", weights)[0] == 0
    metadata = read(tmp_path / "out" / path.name).metadata
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    for words in (f'"anyir {__version__}"', f"weights=tiny; sha256={sha256}; strength=1", "dc:title"):
        assert words.encode() in metadata.xmp
    assert metadata.icc == b"profile" * 40
    assert b"serial 1234" in metadata.exif and b"maker's note" in metadata.exif


def test_the_best_quality_is_another_result_and_says_so(anyir, weights, pictures, tmp_path):
    out, report = tmp_path / "out", tmp_path / "r.json"
    options = ["-o", out, "--weights", weights, "--report", report]
    assert anyir("restore", pictures, *options)[0] == 0
    assert b"quality" not in read(out / "a.png").metadata.xmp
    assert anyir("restore", pictures, *options, "--quality", "best")[0] == 0
    content = json.loads(report.read_text())
    assert (content["totals"]["restored"], content["settings"]["quality"]) == (2, "best")
    assert b"strength=1; quality=best; engine=" in read(out / "a.png").metadata.xmp
    assert anyir("restore", pictures, *options, "--quality", "best", "--overwrite")[0] == 0
    assert (
        anyir("restore", pictures, "-o", out, "--weights", weights, "--quality", "best", "--verify")[0] == 0
    )
    code, _, err = anyir("restore", pictures, "-o", out, "--weights", weights, "--verify")
    assert code == 1 and "was restored with other settings (quality best)" in err


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_strip_metadata_leaves_nothing_of_place_camera_and_people(
    anyir, weights, travelled, tmp_path, suffix
):
    path, options = travelled(suffix), ["--strip-metadata", "--side-by-side", "--weights", weights]
    assert anyir("restore", path, "-o", tmp_path / "out", *options)[0] == 0
    written = sorted(path for path in (tmp_path / "out").iterdir() if path.name != NAME)
    assert [result.name for result in written] == [f"a.compare{suffix}", f"a{suffix}"]
    for result in written:
        metadata, content = read(result).metadata, result.read_bytes()
        assert metadata.icc == b"profile" * 40 and metadata.exif is None
        assert not any(word in content for word in (b"Anycam", b"serial", b"maker's note", b"dc:title"))
        with Image.open(result) as image:
            assert not image.getexif().get_ifd(0x8825)
        if suffix != ".webp":
            assert metadata.dpi == pytest.approx((300, 300), abs=0.02)
    assert b"weights=tiny" in (read(tmp_path / "out" / path.name).metadata.xmp or b"")


def test_failures_are_listed_at_the_end_and_the_others_are_done(anyir, weights, pictures, tmp_path):
    (pictures / "cut.jpg").write_bytes((pictures / "b.jpg").read_bytes()[:-30])
    (pictures / "text.png").write_text("hello")
    (pictures / "zero.jpg").write_bytes(b"")
    (tmp_path / "empty").mkdir()
    output = tmp_path / "out"
    code, out, err = anyir(
        "restore", pictures, tmp_path / "nowhere.jpg", "-o", output, "--recursive", "--weights", weights
    )
    assert (code, out) == (1, "")
    assert tree(output) == ["a.png", "b.jpg", "sub/c.webp"]
    *_, cut, text, zero, nowhere, summary = err.splitlines()
    for line, name in ((cut, "cut.jpg"), (text, "text.png"), (zero, "zero.jpg"), (nowhere, "nowhere.jpg")):
        assert line.startswith("anyir: ")
        assert name in line
    assert summary.startswith("3 pictures restored, 4 failed: ")


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n"])
def test_one_bad_file_is_one_line_and_exit_code_1(anyir, weights, tmp_path, content):
    (tmp_path / "bad.png").write_bytes(content)
    code, out, err = anyir("restore", tmp_path / "bad.png", "--weights", weights, "--quiet")
    assert (code, out) == (1, "")
    assert re.fullmatch(r"anyir: .*bad\.png.*\n", err)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.jpg"], "nowhere.jpg: no such file or folder"),
        (["empty"], "empty: no pictures"),
        ([], "Missing argument 'PATH'"),
        (["in", "--strength", "1.5"], "'--strength'"),
        (["in", "--format", "gif"], "'gif'"),
        (["in", "--nonsense"], "--nonsense"),
        (["in", "--tile", "many"], "--tile 'many'"),
        (["in", "--tile", "3", "--weights", "tiny.onnx"], "tile"),
        (["in", "--quality", "better"], "--quality 'better': must be one of standard, best"),
        (["in", "--report", "a.jpg"], "--report a.jpg"),
        (["in", "--report", "r.json"], "--report r.json: is a folder"),
        (["in", "-o", "in"], "would replace an input"),
        (["in", "--weights", "absent.onnx"], "absent.onnx"),
        (["in", "--weights", "n" * 300], "nor is there such a file"),
        (["n" * 300], "File name too long; check the path"),
        (["in", "--weights", "tiny.onnx", "--threads", "0"], "'--threads'"),
    ],
)
def test_usage_is_one_line_and_exit_code_2(
    anyir, weights, pictures, monkeypatch, tmp_path, arguments, message
):
    (tmp_path / "empty").mkdir()
    (tmp_path / "r.json").mkdir()
    monkeypatch.chdir(tmp_path)
    before = tree(tmp_path)
    code, out, err = anyir("restore", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("anyir: ")
    assert err.count("\n") == 1
    assert message in err
    assert tree(tmp_path) == before


def test_a_report_that_cannot_be_written_is_told_before_the_work(anyir, weights, pictures, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    before = tree(tmp_path)
    code, _, err = anyir("restore", pictures, "--weights", weights, "--report", tmp_path / "file" / "r.json")
    assert code == 1 and "is no folder; choose another output" in err and err.count("\n") == 1
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ([], "run the same command again: what is there is not restored twice"),
        (["--overwrite"], "the others keep their earlier results; the same command begins again"),
    ],
)
def test_who_interrupts_is_told_what_the_same_command_would_do(
    anyir, weights, pictures, monkeypatch, options, advice
):
    def interrupted(plan, restorer, on_progress):
        yield Outcome(plan.jobs[0].source)
        raise KeyboardInterrupt

    monkeypatch.setattr("anyir.inference.batch.run", interrupted)
    code, _, err = anyir("restore", pictures, "--weights", weights, *options)
    assert code == 130 and "1 of 2 pictures done" in err and advice in err


def test_a_second_run_does_not_restore_again(anyir, weights, pictures):
    assert anyir("restore", pictures, "--weights", weights)[0] == 0
    first = (pictures / "a.restored.png").stat()
    code, _, err = anyir("restore", pictures, "--weights", weights)
    assert code == 0
    _, a, b, summary = err.splitlines()
    assert a == f"1/2 {pictures / 'a.png'} skipped: {pictures / 'a.restored.png'} exists"
    assert b.startswith("2/2 ")
    assert summary.startswith("0 pictures restored, 2 skipped (already there): ")
    assert anyir("restore", pictures, "--weights", weights, "--quiet") == (0, "", "")
    assert (pictures / "a.restored.png").stat() == first
    assert anyir("restore", pictures, "--weights", weights, "--overwrite")[0] == 0


def test_report_says_what_was_done_and_with_what(anyir, weights, pictures, tmp_path):
    (pictures / "zero.jpg").write_bytes(b"")
    path = tmp_path / "reports" / "run.json"
    options = ["--tile", 64, "--side-by-side", "--format", "png"]
    code, _, _ = anyir("restore", pictures, "--weights", weights, "--report", path, *options)
    assert code == 1
    content = json.loads(path.read_text())
    assert (content["weights"], content["provider"]) == ("tiny", "CPUExecutionProvider")
    assert content["settings"]["tile"] == "64"
    assert content["settings"]["side_by_side"] is True
    assert content["totals"]["restored"] == 2
    assert content["totals"]["failed"] == 1
    assert [entry["status"] for entry in content["pictures"]] == ["restored", "restored", "failed"]
    assert content["pictures"][1]["output"] == str(pictures / "b.restored.png")
    assert tree(path.parent) == ["run.json"]


def test_a_file_name_cannot_break_the_line_or_the_terminal(anyir, weights, tmp_path):
    (tmp_path / "a\n\x1b[31mb.png").write_bytes(b"")
    code, _, err = anyir("restore", tmp_path, "--weights", weights)
    assert code == 1
    assert len(err.splitlines()) == 4  # the device, its own, its failure, the summary
    assert "\x1b" not in err


def test_ctrl_c_exits_130_with_whole_files_only_and_the_same_command_goes_on(weights, tmp_path):
    (tmp_path / "in").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (1000, 1000, 3), dtype=np.uint8)
    count = 12
    for index in range(count):
        write_image(noise, tmp_path / "in" / f"{index:02}.jpg")
    output, report = tmp_path / "out", tmp_path / "report.json"
    arguments = [
        "restore",
        tmp_path / "in",
        "-o",
        output,
        "--weights",
        weights,
        "--tile",
        64,
        "--device",
        "cpu",
        "--report",
        report,
    ]
    with in_a_process(*arguments) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith(f"1/{count} ")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    last = re.fullmatch(
        rf"anyir: interrupted: (\d+) of {count} pictures done, .* run the same command again.*",
        err.splitlines()[-1],
    )
    assert last is not None
    done = int(last[1])
    assert 1 <= done < count
    assert tree(output) == [f"{index:02}.jpg" for index in range(done)]
    for path in output.glob("*.jpg"):
        assert read(path).width == 1000
    statuses = [entry["status"] for entry in json.loads(report.read_text())["pictures"]]
    assert statuses == ["restored"] * done + ["not started"] * (count - done)

    with in_a_process(*arguments) as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert err.count(" skipped: ") == done
    assert len(tree(output)) == count


def test_a_real_process_restores_without_any_training_library(weights, pictures, tmp_path):
    program = (
        "import sys\n"
        "from anyir.apps.cli import main\n"
        "try:\n"
        "    main(sys.argv[1:])\n"
        "except SystemExit as exit_:\n"
        "    print(exit_.code, sorted({'torch', 'onnx', 'skimage', 'safetensors'} & set(sys.modules)))\n"
    )
    arguments = ["restore", pictures, "-o", tmp_path / "out", "--weights", weights]
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)], capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "0 []\n"
    assert done.stderr.splitlines()[-1].startswith("2 pictures restored: ")
    assert tree(tmp_path / "out") == ["a.png", "b.jpg"]


@pytest.mark.parametrize(
    ("sample", "clean", "gain"),
    [("noise.png", "cat", 5), ("rain.jpg", "raccoon", 1), ("dark.png", "coffee", 5)],
)
def test_the_default_weights_better_the_samples(anyir, tmp_path, sample, clean, gain):
    samples = Path(__file__).resolve().parents[2] / "samples"
    code, _, err = anyir("restore", samples / "degraded" / sample, "-o", tmp_path)
    assert code == 0
    assert err.splitlines()[-1].endswith(f"weights {default_name()}")
    target = read(samples / "clean" / f"{clean}.jpg").pixels / 255
    before, after = (
        -10 * np.log10(np.square(read(path).pixels / 255 - target).mean())
        for path in (samples / "degraded" / sample, tmp_path / sample)
    )
    assert after > before + gain


def test_the_bar_on_a_terminal_names_picture_and_tiles(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    sources = [tmp_path / name for name in ("[red]a.png", "b.png")]
    for source in sources:
        source.write_bytes(b"1234")
    with batch_progress(sources, quiet=False) as progress:
        for source in sources:
            progress.begin(source)
            progress.tile(3, 7)
            progress.end(Outcome(source))
    shown = capsys.readouterr().err
    assert "b.png" in shown
    assert "picture 2 of 2, tile 3 of 7 a few seconds left" in " ".join(shown.split())


def test_a_verification_has_a_bar_on_a_terminal_and_says_whole_lines_after_it(
    anyir, weights, pictures, tmp_path, monkeypatch
):
    command = ["restore", pictures, "-o", tmp_path / "out", "--weights", weights]
    assert anyir(*command)[0] == 0
    write_image(np.full((24, 32, 3), 50, np.uint8), pictures / "a.png", overwrite=True)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "40")  # narrower than the path
    problem = f"anyir: {pictures / 'a.png'}: has changed since it was restored\n"
    code, out, err = anyir(*command, "--verify")
    assert (code, out) == (1, "")
    assert "verifying" in err and "2/2" in err and err.endswith(problem)
    assert anyir(*command, "--verify", "--quiet") == (1, "", problem)


def test_the_guard_holds_back_says_so_and_can_be_turned_off(anyir, narrow_minded, tmp_path):
    picture, path, weights = tmp_path / "a.png", tmp_path / "report.json", narrow_minded()
    write_image(np.full((96, 128, 3), 200, np.uint8), picture)

    def restored(*options):
        code, _, err = anyir(
            "restore",
            picture,
            "-o",
            tmp_path / "b.png",
            "--weights",
            weights,
            "--report",
            path,
            "--overwrite",
            *options,
        )
        assert code == 0
        report = json.loads(path.read_text())
        value = read(tmp_path / "b.png").pixels[50, 50, 0]
        return (
            value,
            report["pictures"][0]["held_back"],
            report["totals"]["held_back"],
            report["settings"],
            err,
        )

    value, share, pictures, settings, err = restored()
    assert (value, share, pictures, settings["guard"]) == (168, 1, 1, True)  # 200 - 255 · 64 / 512
    assert "1 picture restored, 1 with tones corrected by the guard: " in err
    value, share, pictures, settings, err = restored("--no-guard")
    assert (value, share, pictures, settings["guard"]) == (136, None, 0, False)  # 200 - 255 · 128 / 512
    assert "by the guard" not in err
