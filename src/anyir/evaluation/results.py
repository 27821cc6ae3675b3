"""What an evaluation found: typed data, its JSON form, and the summary for a weight file's header."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, Final

import numpy as np

from anyir.errors import DataError
from anyir.evaluation.machine import library_version

FORMAT: Final = 1
"""Of the JSON file; to be raised when a reader of the old layout would misunderstand the new one."""

RESAMPLINGS: Final = 2000
"""Bootstrap means behind an interval."""

IDENTITY: Final = "identity"
"""The name in :attr:`Results.weights` of no network at all: the degraded input, evaluated in place of an output."""

_MEANS: Final = ("input_psnr", "input_ssim", "psnr", "ssim")


@dataclass(frozen=True)
class Score:
    """Of one image against its clean partner: PSNR in dB (RGB, capped by the protocol) and SSIM."""

    psnr: float
    ssim: float


@dataclass(frozen=True)
class ImageResult:
    """One picture of a set.

    Attributes:
        name: as in :class:`anyir.data.layouts.Example`.
        height: in pixels, after the crop.
        width: in pixels, after the crop.
        degraded: score of the input; None where the input is the clean picture itself.
        restored: score of the output.
        seconds: that restoring took, reading and scoring not included; 0 where nothing ran (the identity).
        variants: the restored image's score under other conventions, by name
            (:data:`anyir.evaluation.variants.VARIANTS`); empty where they were not asked for.
    """

    name: str
    height: int
    width: int
    degraded: Score | None
    restored: Score
    seconds: float
    variants: Mapping[str, Score] = field(default_factory=dict)

    @property
    def gain(self) -> float | None:
        """PSNR gained over the input, dB; None where the input is the clean picture itself."""
        return None if self.degraded is None else self.restored.psnr - self.degraded.psnr


@dataclass(frozen=True)
class SetResult:
    """One set.

    Attributes:
        name: key of the set in :data:`anyir.evaluation.sets.SETS`.
        title: for tables.
        task: the degradation.
        official: the published pictures, all of them: the means compare with the papers'.
        expected: how many pictures the set should have.
        images: at least one.
    """

    name: str
    title: str
    task: str
    official: bool
    expected: int
    images: tuple[ImageResult, ...]

    @property
    def psnr(self) -> float:
        """Mean PSNR of the restored images, dB."""
        return fmean(image.restored.psnr for image in self.images)

    @property
    def ssim(self) -> float:
        """Mean SSIM of the restored images."""
        return fmean(image.restored.ssim for image in self.images)

    @property
    def input_psnr(self) -> float | None:
        """Mean PSNR of the degraded images, dB; None where the input is the clean picture itself."""
        return self._input_mean(lambda score: score.psnr)

    @property
    def input_ssim(self) -> float | None:
        """Mean SSIM of the degraded images; None where the input is the clean picture itself."""
        return self._input_mean(lambda score: score.ssim)

    @property
    def gain(self) -> float | None:
        """Mean PSNR gained over the input, dB."""
        return None if self.input_psnr is None else self.psnr - self.input_psnr

    @property
    def harmed(self) -> tuple[ImageResult, ...]:
        """The images that came back worse than they went in, the worst first."""
        losses = [image for image in self.images if image.gain is not None and image.gain < 0]
        return tuple(sorted(losses, key=lambda image: image.gain or 0.0))

    @property
    def worst(self) -> ImageResult:
        """The image with the lowest PSNR after restoration."""
        return min(self.images, key=lambda image: image.restored.psnr)

    @property
    def variants(self) -> dict[str, Score]:
        """Means under other conventions, over the images; of those that every image has."""
        names = [name for name in self.images[0].variants if all(name in i.variants for i in self.images)]
        return {
            name: Score(
                fmean(image.variants[name].psnr for image in self.images),
                fmean(image.variants[name].ssim for image in self.images),
            )
            for name in names
        }

    @property
    def psnr_interval(self) -> tuple[float, float] | None:
        """Where 95 % of the bootstrap means of PSNR lie, dB; None for a single image."""
        return bootstrap_interval([image.restored.psnr for image in self.images])

    @property
    def seconds(self) -> float:
        """That restoring took, all images together."""
        return sum(image.seconds for image in self.images)

    @property
    def megapixels_per_second(self) -> float | None:
        """Speed of restoring; None where nothing ran."""
        pixels = sum(image.height * image.width for image in self.images)
        return pixels / 1e6 / self.seconds if self.seconds > 0 else None

    def _input_mean(self, value: Callable[[Score], float]) -> float | None:
        scores = [image.degraded for image in self.images if image.degraded is not None]
        return fmean(value(score) for score in scores) if scores else None


@dataclass(frozen=True)
class EvaluatedModel:
    """What a table says of a model beside its results; None for what is not known.

    Attributes:
        parameters: number of learnt values.
        macs_224: multiply-accumulates for one picture of 224×224.
        trained_on: recipe, samples and pictures in a short sentence.
        size_bytes: of the weight file.
        peak_memory_224_bytes: that one inference at 224×224 took, see :mod:`anyir.evaluation.peak_memory`.
    """

    parameters: int | None = None
    macs_224: int | None = None
    trained_on: str | None = None
    size_bytes: int | None = None
    peak_memory_224_bytes: int | None = None


@dataclass(frozen=True)
class Results:
    """One run of the evaluation.

    Attributes:
        command: that repeats it.
        weights: "name" and "sha256" of the weight file; "sha256" is None for the identity.
        settings: what was chosen: suite, tile, device, the provider that ran, ...
        conventions: of the protocol, in words.
        versions: of Python and of the libraries that decide the numbers.
        sets: in the order of tables.
        absent: name of each set that was asked for and not found → where it was looked for.
        source: the file they were loaded from; None for results that were just made.
        model: what is known of the model; None for the identity, and in files from before there was this.
    """

    command: str
    weights: Mapping[str, str | None]
    settings: Mapping[str, str | int | None]
    conventions: Mapping[str, str]
    versions: Mapping[str, str]
    sets: tuple[SetResult, ...]
    absent: Mapping[str, str]
    source: str | None = None
    model: EvaluatedModel | None = None

    @property
    def is_input(self) -> bool:
        """Whether these are of the degraded pictures themselves: the identity is no file, whatever a file is called."""
        return self.weights["sha256"] is None


def bootstrap_interval(values: list[float], seed: int = 0) -> tuple[float, float] | None:
    """95 % percentile bootstrap interval of the mean of ``values``; None for fewer than two."""
    if len(values) < 2:
        return None
    sample = np.asarray(values, dtype=np.float64)
    picks = np.random.default_rng(seed).integers(len(sample), size=(RESAMPLINGS, len(sample)))
    low, high = np.percentile(sample[picks].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


def library_versions(*others: str) -> dict[str, str]:
    """Of Python and of the libraries that decide an evaluation's numbers, ``others`` among them."""
    libraries = ("anyir", "numpy", "scikit-image", "pillow", "onnxruntime", *others)
    return {"python": platform.python_version(), **{name: library_version(name) for name in libraries}}


def to_json(results: Results) -> str:
    """The results file. Means stand beside per-image values for other readers; ours computes them anew."""
    content = {
        "anyir_evaluation": FORMAT,
        "command": results.command,
        "weights": dict(results.weights),
        "model": None if results.model is None else asdict(results.model),
        "settings": dict(results.settings),
        "conventions": dict(results.conventions),
        "versions": dict(results.versions),
        "sets": {each.name: _set_to_json(each) for each in results.sets},
        "absent": dict(results.absent),
    }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _set_to_json(result: SetResult) -> dict[str, Any]:
    interval = result.psnr_interval
    return {
        "title": result.title,
        "task": result.task,
        "official": result.official,
        "expected": result.expected,
        "pictures": len(result.images),
        **{key: _rounded(getattr(result, key)) for key in (*_MEANS, "gain")},
        "psnr_interval": None if interval is None else [_rounded(bound) for bound in interval],
        "seconds": _rounded(result.seconds),
        "megapixels_per_second": _rounded(result.megapixels_per_second),
        "harmed": len(result.harmed),
        "worst_psnr": _rounded(result.worst.restored.psnr),
        "variants": {name: asdict(score) for name, score in result.variants.items()},
        "images": [image_to_json(image) for image in result.images],
    }


def image_to_json(image: ImageResult) -> dict[str, Any]:
    """One picture's part of the results file, and the journal's."""
    return {
        "name": image.name,
        "height": image.height,
        "width": image.width,
        "degraded": None if image.degraded is None else asdict(image.degraded),
        "restored": asdict(image.restored),
        "seconds": _rounded(image.seconds),
        "variants": {name: asdict(score) for name, score in image.variants.items()},
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def load_results(path: Path) -> Results:
    """Read a results file.

    Raises:
        DataError: it is missing or not a results file of this format.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise DataError(f"{path} is not a results file of 'anyir evaluate': {error}") from error
    if not isinstance(content, dict) or content.get("anyir_evaluation") != FORMAT:
        raise DataError(f"{path} is not a results file of 'anyir evaluate' in format {FORMAT}")
    try:
        model = content.get("model")
        return Results(
            command=content["command"],
            weights={"name": content["weights"]["name"], "sha256": content["weights"]["sha256"]},
            settings={**content["settings"]},
            conventions={**content["conventions"]},
            versions={**content["versions"]},
            sets=tuple(_set_from_json(name, values) for name, values in content["sets"].items()),
            absent={**content["absent"]},
            # A header travels: a relative path means something to its readers, somebody's folders do not.
            source=path.name if path.is_absolute() else path.as_posix(),
            model=None if model is None else EvaluatedModel(**model),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path} is damaged: {error!r}; evaluate again") from error


def _set_from_json(name: str, values: Mapping[str, Any]) -> SetResult:
    if not values["images"]:
        raise ValueError(f"{name} has no images")
    return SetResult(
        name=name,
        title=values["title"],
        task=values["task"],
        official=values["official"],
        expected=values["expected"],
        images=tuple(image_from_json(image) for image in values["images"]),
    )


def image_from_json(values: Mapping[str, Any]) -> ImageResult:
    """What :func:`image_to_json` wrote.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: it is something else.
    """
    degraded = values["degraded"]
    return ImageResult(
        name=values["name"],
        height=values["height"],
        width=values["width"],
        degraded=None if degraded is None else _score_from_json(degraded),
        restored=_score_from_json(values["restored"]),
        seconds=float(values["seconds"]),
        variants={name: _score_from_json(score) for name, score in values.get("variants", {}).items()},
    )


def _score_from_json(values: Mapping[str, Any]) -> Score:
    return Score(psnr=float(values["psnr"]), ssim=float(values["ssim"]))


def summary(results: Results) -> dict[str, Any]:
    """What a weight file's header says of its results.

    Returns:
        ``{"file": str | None, "sets": {name: {"input_psnr", "input_ssim", "psnr", "ssim", "pictures",
        "official"}}, "clean_psnr": float | None}``; "clean_psnr" is the mean PSNR of clean pictures sent
        through the model, None where that was not evaluated; those pictures are not among "sets".
    """
    clean = [each for each in results.sets if each.task == "clean"]
    return {
        "file": results.source,
        "sets": {
            each.name: {
                **{key: _rounded(getattr(each, key)) for key in _MEANS},
                "pictures": len(each.images),
                "official": each.official,
            }
            for each in results.sets
            if each.task != "clean"
        },
        "clean_psnr": _rounded(clean[0].psnr) if clean else None,
    }
