"""Devices, with an ONNX Runtime that claims more than it has: none of them but the CPU is here."""

import numpy as np
import onnxruntime
import pytest

from anyir.errors import EngineUnavailable, WeightsDamaged
from anyir.inference import OnnxEngine, Restorer

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
DML, COREML = "DmlExecutionProvider", "CoreMLExecutionProvider"
PROVIDERS = {"cuda": CUDA, "directml": DML, "coreml": COREML}
PACKAGES = {"cuda": "onnxruntime-gpu", "directml": "onnxruntime-directml", "coreml": "onnxruntime on macOS"}
each_device = pytest.mark.parametrize("device", PROVIDERS)


class Claiming:
    """A session on the CPU that names other providers."""

    def __init__(self, session, providers):
        self._session = session
        self._providers = providers

    def get_providers(self):
        return self._providers

    def __getattr__(self, name):
        return getattr(self._session, name)


@pytest.fixture
def runtime(monkeypatch):
    """runtime(provider, ..., dropped, failing) → the options that providers are given, by name, as they start.

    Lets ONNX Runtime announce these providers; of them some do not start.
    """
    real = onnxruntime.InferenceSession
    given = {}

    def pretend(*announced, dropped=(), failing=()):
        def session(*args, providers, **options):
            assert options["enable_fallback"] == 0  # else a failing run would print, and go on elsewhere
            given.update(each for each in providers if isinstance(each, tuple))
            providers = [each[0] if isinstance(each, tuple) else each for each in providers]
            assert set(providers) <= {*announced, CPU} and providers[-1] == CPU
            if set(failing) & set(providers):
                raise RuntimeError("failure 100:\n no device")
            return Claiming(
                real(*args, providers=[CPU], **options), [each for each in providers if each not in dropped]
            )

        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [*announced, CPU])
        monkeypatch.setattr(onnxruntime, "InferenceSession", session)
        return given

    return pretend


@each_device
def test_a_device_that_starts_is_used(device, add_model, runtime):
    runtime(*PROVIDERS.values())
    run = OnnxEngine(add_model(0.5), device)
    assert (run.device, run.provider, run.chosen_because) == (device, PROVIDERS[device], "it was asked for")
    assert run(np.zeros((1, 3, 8, 8), np.float32)).max() == 0.5


def test_single_precision_is_what_it_says(add_model, runtime):
    """Without the option, CUDA rounds what it convolves to TF32; the others have no such option."""
    given = runtime(*PROVIDERS.values())
    for device in PROVIDERS:
        OnnxEngine(add_model(0.5), device)
    assert given == {CUDA: {"use_tf32": "0"}, DML: {}, COREML: {}}


def test_the_cpu_is_used_where_it_is_asked_for_whatever_there_is(add_model, runtime):
    runtime(*PROVIDERS.values())
    run = OnnxEngine(add_model(0.5), "cpu")
    assert (run.device, run.provider, run.chosen_because) == ("cpu", CPU, "it was asked for")


@each_device
def test_a_device_without_its_provider_is_an_error_that_names_the_package(device, add_model, runtime):
    runtime()
    with pytest.raises(EngineUnavailable) as caught:
        OnnxEngine(add_model(0.0), device)
    message = str(caught.value)
    assert message.startswith(
        f"device '{device}' is not available: this ONNX Runtime has no {PROVIDERS[device]}; "
        f"install {PACKAGES[device]}"
    )
    assert message.endswith("or use what there is: cpu")


def test_the_error_names_the_devices_that_there_are(add_model, runtime):
    runtime(DML)
    with pytest.raises(EngineUnavailable, match=r"what there is: directml, cpu$"):
        OnnxEngine(add_model(0.0), "cuda")


@each_device
def test_a_provider_that_the_session_dropped_is_an_error(device, add_model, runtime):
    """What a build with CUDA does on a machine without its libraries: the session is made, on the CPU."""
    runtime(*PROVIDERS.values(), dropped=[PROVIDERS[device]])
    with pytest.raises(
        EngineUnavailable, match=f"'{device}' is not available: ONNX Runtime dropped {PROVIDERS[device]}"
    ):
        OnnxEngine(add_model(0.0), device)


@each_device
def test_a_provider_that_fails_is_told_from_a_damaged_file(device, add_model, runtime):
    runtime(*PROVIDERS.values(), failing=[PROVIDERS[device]])
    path = add_model(0.0)
    with pytest.raises(EngineUnavailable, match=r"could not start it \(failure 100: no device\)"):
        OnnxEngine(path, device)
    path.write_bytes(b"damaged")
    with pytest.raises(WeightsDamaged):
        OnnxEngine(path, device)


@pytest.mark.parametrize(
    ("announced", "behaviour", "device", "because"),
    [
        ([COREML, DML, CUDA], {}, "cuda", f"{CUDA} started"),
        ([DML], {}, "directml", f"{DML} started"),
        ([], {}, "cpu", "this ONNX Runtime has no provider for a GPU that anyir uses"),
        (
            ["ROCMExecutionProvider", "TensorrtExecutionProvider"],
            {},
            "cpu",
            "this ONNX Runtime has no provider for a GPU that anyir uses",
        ),
        (
            [COREML],
            {},
            "cpu",
            "this ONNX Runtime has no provider for a GPU that anyir uses but coreml, which must be asked for",
        ),
        (
            [CUDA],
            {"dropped": [CUDA]},
            "cpu",
            f"cuda is not available: ONNX Runtime dropped {CUDA}, whose libraries it could not load",
        ),
        (
            [CUDA, DML],
            {"failing": [CUDA]},
            "directml",
            f"cuda is not available: ONNX Runtime could not start it (failure 100: no device); {DML} started",
        ),
    ],
)
def test_auto_takes_the_first_that_starts_and_says_why(
    announced, behaviour, device, because, add_model, runtime
):
    runtime(*announced, **behaviour)
    restorer = Restorer(add_model(0.5))
    assert (restorer.device, restorer.chosen_because) == (device, because)
    assert restorer.provider == PROVIDERS.get(device, CPU)


def test_an_engine_of_ones_own_need_not_say_where_it_runs(identity):
    restorer = Restorer(engine=identity)
    assert (restorer.device, restorer.chosen_because, restorer.sha256) == (None, None, None)


def test_between_two_tiles_the_threads_leave_the_cores_to_others(add_model):
    """They would go on waiting in a loop, and whatever else has work for two threads takes many times as long."""
    engine = OnnxEngine(add_model(0.25), "cpu")
    entries = engine._session.get_session_options()
    assert entries.get_session_config_entry("session.force_spinning_stop") == "1"
