"""What a network is, as data: the one type from which the paper's model, our small one and all ablations are built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from anyir.errors import ConfigurationError
from anyir.settings import from_mapping, to_mapping

SIZE_MULTIPLE: Final = 8
"""Height and width inside the network must be multiples of this: three halvings of the resolution."""


@dataclass(frozen=True)
class NetworkConfig:
    """Configuration of :class:`anyir.model.network.AnyIR`. Immutable and checked when made.

    Attributes:
        width: channels C at full resolution; C, 2C, 4C and 8C at the four resolutions. A multiple of 2.
        blocks: blocks in encoder 1, 2, 3 and the bottleneck; the decoder mirrors the encoder.
        heads: attention heads at the four resolutions.
        refinement_blocks: blocks after the decoder, at full resolution.
        feedforward_expansion: hidden width of the feed-forward over the block's width.
        gate_expansion: hidden width of the gated branch over half the block's width.
        gate_kernel: side of the depthwise kernel that makes the shifted feature (odd).
        skip_split: even channels to attention and odd ones to the gate, eq. (1); else first and second half.
        cross_update: exchange sigmoids between the two branches, eq. (2). Needs ``gated_adaptation``.
        gated_adaptation: the gated branch, eqs. (3) to (5); without it the second half passes unchanged.

    Raises:
        ConfigurationError: for a value that no network can be built with; the message names the key.
    """

    width: int = 28
    blocks: tuple[int, int, int, int] = (3, 5, 5, 7)
    heads: tuple[int, int, int, int] = (1, 2, 4, 8)
    refinement_blocks: int = 4
    feedforward_expansion: float = 2.0
    gate_expansion: float = 8 / 3
    gate_kernel: int = 7
    skip_split: bool = True
    cross_update: bool = True
    gated_adaptation: bool = True

    def __post_init__(self) -> None:
        def require(ok: bool, key: str, what: str) -> None:
            if not ok:
                raise ConfigurationError(f"network {key} = {getattr(self, key)!r}: {what}")

        require(self.width >= 2 and self.width % 2 == 0, "width", "must be a positive multiple of 2")
        require(
            len(self.blocks) == 4 and min(self.blocks) >= 1, "blocks", "must be four numbers of at least 1"
        )
        require(len(self.heads) == 4 and min(self.heads) >= 1, "heads", "must be four numbers of at least 1")
        for level, heads in enumerate(self.heads):
            half = self.width * 2**level // 2
            require(
                half % heads == 0,
                "heads",
                f"{heads} does not divide the {half} channels of level {level + 1}",
            )
        require(self.refinement_blocks >= 0, "refinement_blocks", "must not be negative")
        require(self.feedforward_expansion > 0, "feedforward_expansion", "must be positive")
        require(self.gate_expansion > 1, "gate_expansion", "must be greater than 1")
        require(
            self.gate_kernel >= 1 and self.gate_kernel % 2 == 1,
            "gate_kernel",
            "must be a positive odd number",
        )
        require(
            self.gated_adaptation or not self.cross_update, "cross_update", "needs gated_adaptation = true"
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values: tuples become lists."""
        return to_mapping(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> NetworkConfig:
        """The inverse of :meth:`to_dict`.

        Raises:
            ConfigurationError: for an unknown key, a wrong type or an impossible value.
        """
        return from_mapping(cls, values, "network")


TABLE_5: Final[Mapping[str, Mapping[str, bool]]] = {
    "a": {"skip_split": False, "cross_update": False, "gated_adaptation": False},
    "b": {"skip_split": True, "cross_update": False, "gated_adaptation": False},
    "c": {"skip_split": False, "cross_update": False, "gated_adaptation": True},
    "d": {"skip_split": True, "cross_update": False, "gated_adaptation": True},
    "e": {"skip_split": True, "cross_update": True, "gated_adaptation": True},
}
"""Row of the paper's Table 5, its ablation, → the network's switches. Row e is the whole network."""

_PAPER: Final = NetworkConfig()
_SMALL: Final = replace(_PAPER, width=16, blocks=(1, 2, 2, 3), refinement_blocks=1)

NETWORKS: Final[Mapping[str, NetworkConfig]] = {
    "anyir": _PAPER,
    "anyir-s": _SMALL,
    **{f"ablation-{row}": replace(_PAPER, **TABLE_5[row]) for row in "abcd"},
    **{f"ablation-{row}-s": replace(_SMALL, **TABLE_5[row]) for row in "abcd"},
}
"""The networks that have a name."""


def network_config(name: str) -> NetworkConfig:
    """The configuration called ``name``.

    Raises:
        ConfigurationError: for an unknown name; the message lists the known ones.
    """
    try:
        return NETWORKS[name]
    except KeyError:
        raise ConfigurationError(f"unknown network {name!r}; known: {', '.join(NETWORKS)}") from None


def ablation_of(name: str) -> dict[str, str]:
    """Row of :data:`TABLE_5` → the network that differs from the one called ``name`` in that row's switches alone.

    Raises:
        ConfigurationError: ``name`` is unknown, or not all five have a name.
    """
    config, names = network_config(name), {config: known for known, config in NETWORKS.items()}
    try:
        return {row: names[replace(config, **switches)] for row, switches in TABLE_5.items()}
    except KeyError:
        raise ConfigurationError(
            f"network {name!r}: its ablations have no names; choose a network of the size of anyir or anyir-s"
        ) from None
