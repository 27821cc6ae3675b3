import json
from dataclasses import FrozenInstanceError, replace

import pytest

from anyir.errors import ConfigurationError
from anyir.model import NETWORKS, NetworkConfig, network_config
from anyir.model.config import TABLE_5, ablation_of


def test_the_papers_network():
    paper = network_config("anyir")
    assert (paper.width, paper.blocks, paper.heads, paper.refinement_blocks) == (
        28,
        (3, 5, 5, 7),
        (1, 2, 4, 8),
        4,
    )
    assert (paper.feedforward_expansion, paper.gate_expansion, paper.gate_kernel) == (2.0, 8 / 3, 7)


def test_the_small_network_differs_only_in_size():
    small = network_config("anyir-s")
    assert (small.width, small.blocks, small.refinement_blocks) == (16, (1, 2, 2, 3), 1)
    assert replace(small, width=28, blocks=(3, 5, 5, 7), refinement_blocks=4) == network_config("anyir")


@pytest.mark.parametrize(
    ("name", "skip_split", "cross_update", "gated_adaptation"),
    [
        ("ablation-a", False, False, False),
        ("ablation-b", True, False, False),
        ("ablation-c", False, False, True),
        ("ablation-d", True, False, True),
        ("anyir", True, True, True),
        ("ablation-a-s", False, False, False),
        ("ablation-b-s", True, False, False),
        ("ablation-c-s", False, False, True),
        ("ablation-d-s", True, False, True),
    ],
)
def test_rows_of_the_papers_table_5(name, skip_split, cross_update, gated_adaptation):
    config = network_config(name)
    assert (config.skip_split, config.cross_update, config.gated_adaptation) == (
        skip_split,
        cross_update,
        gated_adaptation,
    )


def test_the_ablations_of_both_sizes_differ_in_the_switches_alone():
    assert (
        ablation_of("anyir")
        == ablation_of("ablation-b")
        == {
            **{row: f"ablation-{row}" for row in "abcd"},
            "e": "anyir",
        }
    )
    assert ablation_of("anyir-s") == {**{row: f"ablation-{row}-s" for row in "abcd"}, "e": "anyir-s"}
    for whole in ("anyir", "anyir-s"):
        for row, name in ablation_of(whole).items():
            assert replace(network_config(name), **TABLE_5["e"]) == network_config(whole), row


def test_a_network_without_named_ablations_is_refused(monkeypatch):
    monkeypatch.setitem(NETWORKS, "odd", replace(network_config("anyir"), width=32))
    with pytest.raises(ConfigurationError, match=r"'odd'.*choose"):
        ablation_of("odd")
    with pytest.raises(ConfigurationError, match="unknown network"):
        ablation_of("none")


@pytest.mark.parametrize("name", NETWORKS)
def test_json_and_back(name):
    config = network_config(name)
    assert NetworkConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_configurations_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        network_config("anyir").width = 32


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("width", 27),
        ("width", 0),
        ("blocks", (1, 1, 0, 1)),
        ("blocks", (1, 1, 1)),
        ("heads", (1, 2, 4, 0)),
        ("heads", (3, 2, 4, 8)),
        ("refinement_blocks", -1),
        ("feedforward_expansion", 0.0),
        ("gate_expansion", 1.0),
        ("gate_kernel", 6),
        ("gated_adaptation", False),  # while cross_update asks for it
    ],
)
def test_impossible_values_name_their_key(key, value):
    expected = "cross_update" if key == "gated_adaptation" else key
    with pytest.raises(ConfigurationError, match=expected):
        NetworkConfig(**{key: value})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("widht", 28),
        ("width", "28"),
        ("width", 28.0),
        ("width", True),
        ("blocks", [1, 2, 3.5, 4]),
        ("skip_split", 1),
    ],
)
def test_wrong_keys_and_types_are_named(key, value):
    with pytest.raises(ConfigurationError, match=key):
        NetworkConfig.from_dict({key: value})


def test_a_whole_number_is_a_float():
    assert NetworkConfig.from_dict({"gate_expansion": 3}).gate_expansion == 3.0


def test_an_unknown_network_lists_the_known_ones():
    with pytest.raises(ConfigurationError, match="anyir-s"):
        network_config("anyir-xl")
