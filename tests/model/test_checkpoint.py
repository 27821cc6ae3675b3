import json
import os

import pytest
import torch
from safetensors.torch import save_file

from anyir.errors import OutputError, WeightsDamaged, WeightsError, WeightsNotFound
from anyir.model import AnyIR, build_network, load_checkpoint, network_config, save_checkpoint
from anyir.model.checkpoint import read_safetensors, write_safetensors_atomic

HEADER = {"name": "tiny", "recipe": {"steps": 3}, "data": None, "results": {"clean_psnr": 36.5}}
TENSOR = "encoder1.0.gate.expand.weight"


@pytest.fixture
def network(tiny, randomised):
    return randomised(tiny())


@pytest.fixture
def path(network, tmp_path):
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, network, network.config, HEADER)
    return path


def write(path, network, change=None, /, **metadata):
    """A checkpoint in which something is not as it should be, soundly written."""
    state = dict(network.state_dict())
    if change is not None:
        change(state)
    metadata = {"format": 1, "network": network.config.to_dict(), **HEADER, **metadata}
    write_safetensors_atomic(path, state, metadata)


def test_everything_comes_back(network, path):
    checkpoint = load_checkpoint(path)
    assert checkpoint.network == network.config
    assert checkpoint.header == HEADER
    expected = network.state_dict()
    assert checkpoint.state.keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in checkpoint.state.items())
    assert os.listdir(path.parent) == [path.name]


def test_the_network_is_built_for_inference(network, path):
    built = build_network(load_checkpoint(path))
    degraded = torch.rand(1, 3, 16, 16)
    assert not any(module.training for module in built.modules())
    with torch.inference_mode():
        assert torch.equal(built(degraded), network(degraded))


def test_a_state_dict_of_any_precision_is_stored_as_float32(network, tmp_path):
    state = {name: t.double() if t.is_floating_point() else t for name, t in network.state_dict().items()}
    save_checkpoint(tmp_path / "double.safetensors", state, network.config, {})
    loaded = load_checkpoint(tmp_path / "double.safetensors").state
    assert {t.dtype for t in loaded.values()} == {torch.float32, torch.int64}
    assert torch.equal(loaded[TENSOR], network.state_dict()[TENSOR])


def test_half_precision_rounds_weights_and_nothing_else(network, path, tmp_path):
    norm = network.encoder1[0].gate.norm
    norm.running_var.fill_(1e6)  # more than float16 holds
    norm.running_mean.fill_(1e-9)  # less than float16 holds
    norm.num_batches_tracked.fill_(100_003)  # a float16 would round it
    half = tmp_path / "half.safetensors"
    save_checkpoint(half, network, network.config, HEADER, dtype=torch.float16)
    stored, _ = read_safetensors(half)
    assert stored[TENSOR].dtype == torch.float16
    assert half.stat().st_size < 0.75 * path.stat().st_size  # the tiny network is largely header and vectors
    loaded = load_checkpoint(half).state
    for name, tensor in network.state_dict().items():
        assert loaded[name].dtype == tensor.dtype, name
        if tensor.ndim < 2:
            assert torch.equal(loaded[name], tensor), name
        else:
            assert (loaded[name] - tensor).abs().max() <= 2**-11 * tensor.abs().max(), name
    assert not torch.equal(loaded[TENSOR], network.state_dict()[TENSOR])


@pytest.mark.parametrize("scale", [1e6, 1e-9])
def test_weights_out_of_half_precisions_range_stay_as_they_are(network, tmp_path, scale):
    network.encoder1[0].gate.expand.weight.data.mul_(scale)
    save_checkpoint(tmp_path / "half.safetensors", network, network.config, {}, dtype=torch.float16)
    assert torch.equal(
        load_checkpoint(tmp_path / "half.safetensors").state[TENSOR], network.state_dict()[TENSOR]
    )


def test_a_missing_file(tmp_path):
    with pytest.raises(WeightsNotFound, match=r"absent\.safetensors"):
        load_checkpoint(tmp_path / "absent.safetensors")
    with pytest.raises(WeightsNotFound):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("keep", [0, 5, 100, 0.5, -1])
def test_a_truncated_file(path, keep):
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content)) if isinstance(keep, float) else keep])
    with pytest.raises(WeightsDamaged, match=r"model\.safetensors"):
        load_checkpoint(path)


@pytest.mark.parametrize("position", [3, 8, 200, -1])
def test_an_altered_byte(path, position):
    content = bytearray(path.read_bytes())
    content[position] ^= 0x81
    path.write_bytes(content)
    with pytest.raises(WeightsDamaged, match=r"model\.safetensors"):
        load_checkpoint(path)


def test_files_of_others(tmp_path):
    path = tmp_path / "foreign.safetensors"
    for metadata in (None, {"format": "pt"}, {"anyir": "not JSON"}, {"anyir": "[1]"}, {"anyir": "{}"}):
        save_file({"weight": torch.ones(2)}, path, metadata)
        with pytest.raises(WeightsDamaged, match="not one of anyir"):
            load_checkpoint(path)
    path.write_bytes(b"PK\x03\x04 a pickle, as torch.save would write it")
    with pytest.raises(WeightsDamaged, match="not a safetensors file"):
        load_checkpoint(path)


@pytest.mark.parametrize("version", [2, "1", None])
def test_a_later_format(network, path, version):
    write(path, network, format=version)
    with pytest.raises(WeightsDamaged, match="update anyir"):
        load_checkpoint(path)


@pytest.mark.parametrize("configuration", [None, 3, {"width": "wide"}, {"width": 7}, {"depth": 4}])
def test_a_configuration_that_is_none(network, path, configuration):
    write(path, network, network=configuration)
    with pytest.raises(WeightsDamaged, match="no network that can be built"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop(TENSOR), f"'{TENSOR}' is missing"),
        (lambda state: state.update(extra=torch.ones(1)), "'extra' has no place"),
        (lambda state: state.update({TENSOR: torch.ones(3, 3)}), rf"'{TENSOR}' is torch.float32 \(3, 3\)"),
        (lambda state: state.update({TENSOR: state[TENSOR].long()}), f"'{TENSOR}' is torch.int64"),
        (lambda state: state.update({TENSOR: state[TENSOR] * float("nan")}), f"'{TENSOR}' .* not finite"),
    ],
)
def test_tensors_that_do_not_fit(network, path, tmp_path, change, message):
    write(path, network, change)
    with pytest.raises(WeightsDamaged, match=message) as caught:
        load_checkpoint(path)
    assert str(path) in str(caught.value)
    state = dict(network.state_dict())
    change(state)
    with pytest.raises(WeightsError, match=message):
        save_checkpoint(tmp_path / "new.safetensors", state, network.config, {})
    assert not (tmp_path / "new.safetensors").exists()


def test_weights_of_another_configuration(network, path):
    write(path, network, network=network_config("anyir-s").to_dict())
    with pytest.raises(WeightsDamaged, match=r"'embed\.weight'"):
        load_checkpoint(path)


def test_a_failure_leaves_the_old_file_and_nothing_else(network, path, monkeypatch):
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        save_checkpoint(path, network, network.config, {"name": "other"})
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_a_folder_that_is_not_there(network, tmp_path):
    with pytest.raises(OutputError, match="absent"):
        save_checkpoint(tmp_path / "absent" / "model.safetensors", network, network.config, {})


def test_names_that_are_ours(network, tmp_path):
    for key in ("format", "network", "digest"):
        with pytest.raises(ValueError, match=key):
            save_checkpoint(tmp_path / "model.safetensors", network, network.config, {key: 1})
    with pytest.raises(ValueError, match="bfloat16"):
        save_checkpoint(tmp_path / "model.safetensors", network, network.config, {}, dtype=torch.bfloat16)
    assert not list(tmp_path.iterdir())


def test_tensors_of_any_kind_come_back(tmp_path):
    both = torch.randn(2, 3, 4, 4)
    tensors = {
        "step": torch.tensor(7),
        "moment": torch.randn(3, 4).bfloat16(),
        "random": torch.get_rng_state(),
        "empty": torch.zeros(0, 3),
        "channels last": both.to(memory_format=torch.channels_last),
        "one": both[0],
        "other": both[0].transpose(0, 1),
    }
    write_safetensors_atomic(tmp_path / "state.safetensors", tensors, {"step": 7})
    loaded, metadata = read_safetensors(tmp_path / "state.safetensors")
    assert metadata == {"step": 7}
    assert loaded.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert loaded[name].dtype == tensor.dtype
        assert torch.equal(loaded[name], tensor), name


def test_the_header_is_readable_without_the_tensors(path):
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
    assert json.loads(header["anyir"])["network"]["width"] == 4


def test_loading_needs_no_pickle(path, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("pickle")

    monkeypatch.setattr(torch, "load", refuse)
    monkeypatch.setattr("pickle.Unpickler", refuse)
    assert isinstance(build_network(load_checkpoint(path)), AnyIR)
