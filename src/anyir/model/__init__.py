"""The network, its configuration and its weights. Importing this package imports PyTorch."""

from anyir.model.checkpoint import Checkpoint, build_network, load_checkpoint, save_checkpoint
from anyir.model.config import NETWORKS, SIZE_MULTIPLE, NetworkConfig, network_config
from anyir.model.network import AnyIR

__all__ = [
    "NETWORKS",
    "SIZE_MULTIPLE",
    "AnyIR",
    "Checkpoint",
    "NetworkConfig",
    "build_network",
    "load_checkpoint",
    "network_config",
    "save_checkpoint",
]
