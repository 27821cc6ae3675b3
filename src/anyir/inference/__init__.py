"""From degraded to restored: engines, tiles, weights and :class:`Restorer`, without any training library."""

from anyir.inference.engine import DescribedEngine, Engine, OnnxEngine, usable_cores
from anyir.inference.onnx_session import Device
from anyir.inference.restorer import Restorer
from anyir.inference.weights import (
    ModelFacts,
    WeightsFile,
    available,
    default_name,
    load_facts,
    resolve,
)

__all__ = [
    "DescribedEngine",
    "Device",
    "Engine",
    "ModelFacts",
    "OnnxEngine",
    "Restorer",
    "WeightsFile",
    "available",
    "default_name",
    "load_facts",
    "resolve",
    "usable_cores",
]
