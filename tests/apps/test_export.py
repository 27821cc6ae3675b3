import json
from dataclasses import replace

import pytest
import torch

from anyir.model import AnyIR, network_config, save_checkpoint
from anyir.model.facts import read_onnx_header

TINY = replace(network_config("anyir"), width=4, blocks=(1, 1, 1, 1), refinement_blocks=0)


@pytest.fixture
def checkpoint(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, AnyIR(TINY), TINY, {"name": "tiny", "training": {"steps": 3}})
    return path


def test_export_then_restore(anyir, checkpoint, pictures, tmp_path):
    model = tmp_path / "tiny.onnx"
    code, out, err = anyir("export", checkpoint, "-o", model)
    assert (code, out) == (0, "")
    assert "equal to the checkpoint within" in err
    assert read_onnx_header(model)["training"] == {"steps": 3}
    picture = next(path for path in sorted(pictures.iterdir()) if path.is_file())
    code, _, err = anyir("restore", picture, "-o", tmp_path / "restored.png", "--weights", model)
    assert code == 0, err
    assert (tmp_path / "restored.png").is_file()


def test_an_existing_file_is_kept_unless_told(anyir, checkpoint, tmp_path):
    model = tmp_path / "tiny.onnx"
    model.write_bytes(b"the one before")
    code, _, err = anyir("export", checkpoint, "-o", model)
    assert code == 1
    assert "exists already" in err
    assert model.read_bytes() == b"the one before"
    code, _, err = anyir("export", checkpoint, "-o", model, "--overwrite", "--quiet")
    assert (code, err) == (0, "")
    assert model.stat().st_size > 1000


@pytest.mark.parametrize("which", ["model.safetensors", "results.json"])
def test_what_it_is_made_of_is_never_replaced(anyir, checkpoint, tmp_path, which):
    (tmp_path / "results.json").write_text("{}")
    before = (tmp_path / which).read_bytes()
    results = ("--results", tmp_path / "results.json")
    code, _, err = anyir("export", checkpoint, *results, "-o", tmp_path / which, "--overwrite")
    assert code == 2 and "would replace an input" in err and err.count("\n") == 1
    assert (tmp_path / which).read_bytes() == before


@pytest.mark.parametrize("content", [None, b"", b"not a checkpoint"])
def test_what_is_not_a_checkpoint(anyir, tmp_path, content):
    path = tmp_path / "bad.safetensors"
    if content is not None:
        path.write_bytes(content)
    code, out, err = anyir("export", path, "-o", tmp_path / "bad.onnx")
    assert (code, out) == (2, "")
    assert err.startswith("anyir: ")
    assert len(err.splitlines()) == 1
    assert "bad.safetensors" in err
    assert not (tmp_path / "bad.onnx").exists()


def test_results_go_into_the_file(anyir, checkpoint, tmp_path):
    results = tmp_path / "results.json"
    keys = {key: {} for key in ("settings", "conventions", "versions", "sets")}
    weights = {"name": "tiny", "sha256": None}
    content = {"anyir_evaluation": 1, "command": "anyir evaluate", "weights": weights, "absent": {}, **keys}
    results.write_text(json.dumps(content))
    code, _, err = anyir("export", checkpoint, "-o", tmp_path / "tiny.onnx", "--results", results)
    assert code == 0, err
    assert read_onnx_header(tmp_path / "tiny.onnx")["results"] == {
        "file": "results.json",
        "sets": {},
        "clean_psnr": None,
    }
