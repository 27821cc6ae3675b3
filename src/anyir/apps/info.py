"""``anyir info``: what the weights are, how they were trained and what they score."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from anyir.errors import shown
from anyir.files import sha256_of

if TYPE_CHECKING:
    from anyir.inference import ModelFacts, WeightsFile
    from anyir.inference.weights import Catalogue

NO_WEIGHTS: Final = "no weights in this release"

_SIDE: Final = "224x224"


def info(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME|FILE]", help="Weights; without them, a list.", show_default=False),
    ] = None,
) -> None:
    """Say what weights there are, how they were trained and what they score."""
    from anyir.inference.weights import CHECKPOINT_SUFFIX, DEFAULT, checkpoint_header, load_facts, resolve

    if name is None:
        lines = _list_models(load_facts())
    elif name.lower().endswith(CHECKPOINT_SUFFIX):
        lines = _describe_header(checkpoint_header(Path(name)), Path(name))
    else:
        catalogue = None if name.lower().endswith(".onnx") else load_facts()
        facts = catalogue and catalogue.models.get(catalogue.default if name == DEFAULT else name)
        if catalogue and facts:
            lines = _describe_model(facts, is_default=facts.name == catalogue.default)
        else:
            lines = _describe_file(resolve(name))
    for line in lines:
        print(shown(line))  # a file of unknown origin may hold what would command the terminal


def _list_models(catalogue: Catalogue) -> Iterator[str]:
    rows = [("model", "parameters", f"multiply-accumulates at {_SIDE}", "weights")]
    for facts in catalogue.models.values():
        weights = NO_WEIGHTS if facts.file is None else f"{facts.file}, {_size(facts.size_bytes)}"
        if facts.name == catalogue.default:
            weights += " (default)"
        rows.append((facts.name, _count(facts.parameters), _count(facts.macs_224), weights))
    yield from _table(rows)
    yield ""
    yield "More about one of them: anyir info NAME"


def _describe_model(facts: ModelFacts, *, is_default: bool) -> Iterator[str]:
    yield facts.name + (" (default)" if is_default else "")
    yield from _describe_network(facts.parameters, facts.macs_224, facts.network)
    if facts.file is None:
        yield _line("weights", NO_WEIGHTS)
    else:
        yield _line("weights", f"{facts.file}, {_size(facts.size_bytes)}, in this release")
        yield _line("sha256", str(facts.sha256))
    yield from _describe_training(_mapping(facts.training))
    yield from _describe_results(_mapping(facts.results))


def _describe_file(file: WeightsFile) -> Iterator[str]:
    """What an ONNX file says about itself; loading it also shows that it can be used."""
    from anyir.inference import OnnxEngine

    yield from _describe_header(OnnxEngine(file.path, "cpu").header, file.path)


def _describe_header(header: Mapping[str, Any], path: Path) -> Iterator[str]:
    """What a file of weights says about itself, and its size and SHA-256."""
    yield str(header.get("name", path.stem))
    yield from _describe_network(
        header.get("parameters"), header.get("macs_224"), _mapping(header.get("network"))
    )
    yield _line("weights", f"{path}, {_size(path.stat().st_size)}")
    yield _line("sha256", sha256_of(path))
    if not header:
        yield _line("header", "none: not written by anyir export, so nothing more is known")
    yield from _describe_training(_mapping(header.get("training")))
    yield from _describe_results(_mapping(header.get("results")))


def _describe_network(parameters: object, macs_224: object, network: Mapping[str, Any]) -> Iterator[str]:
    if isinstance(parameters, int):
        yield _line("parameters", _count(parameters))
    if isinstance(macs_224, int):
        yield _line("multiply-accumulates", f"{_count(macs_224)} at {_SIDE}")
    if network:
        yield _line("network", ", ".join(f"{key} {_plain(value)}" for key, value in network.items()))


def _describe_training(training: Mapping[str, Any], word: str = "trained") -> Iterator[str]:
    """One line a part of the training, the last part first: weights may start from others."""
    from anyir.inference.training_words import as_mapping, data_words, run_words

    if parts := run_words(training):
        yield _line(word, ", ".join(parts))
    if started_from := as_mapping(training.get("started_from")):
        yield from _describe_training(started_from, "  starting from")
    if word == "trained" and (data := data_words(as_mapping(training.get("data")))):
        yield _line("training data", ", ".join(data))


def _describe_results(results: Mapping[str, Any]) -> Iterator[str]:
    sets = {name: _mapping(scores) for name, scores in _mapping(results.get("sets")).items()}
    if "file" in results:
        yield _line("results", str(results["file"]))
    if sets:
        rows = [("test set", "pictures", "input PSNR dB", "restored PSNR dB", "SSIM", "protocol")]
        for name, scores in sets.items():
            official = scores.get("official")
            protocol = "as published" if official is True else "our own" if official is False else "-"
            before, after = (_figure(scores.get(key), 2) for key in ("input_psnr", "psnr"))
            rows.append(
                (
                    name,
                    _plain(scores.get("pictures", "-")),
                    before,
                    after,
                    _figure(scores.get("ssim"), 4),
                    protocol,
                )
            )
        yield ""
        yield from (f"  {line}" for line in _table(rows))
    if isinstance(results.get("clean_psnr"), (int, float)):
        yield ""
        yield f"  A clean picture comes back at {_figure(results['clean_psnr'], 2)} dB."


def _line(key: str, value: str) -> str:
    return f"  {key:<22}{value}"


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _count(number: int) -> str:
    """Three significant digits and a unit: 6,196,128 → "6.20 M"."""
    value, unit = float(number), ""
    for larger in ("k", "M", "G", "T"):
        if value < 999.5:
            break
        value, unit = value / 1000, f" {larger}"
    decimals = 0 if not unit or value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:.{decimals}f}{unit}"


def _size(size_bytes: int | None) -> str:
    return "unknown size" if size_bytes is None else f"{size_bytes / 1e6:.1f} MB"


def _figure(value: object, decimals: int) -> str:
    return f"{value:.{decimals}f}" if isinstance(value, (int, float)) else "-"


def _plain(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return "/".join(str(each) for each in value)  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _mapping(value: object) -> Mapping[str, Any]:
    """The value if it is a mapping, else an empty one: a file's header may hold anything."""
    return value if isinstance(value, Mapping) else {}  # pyright: ignore[reportUnknownVariableType]
