"""The tasks, and the mixture of them that a network is trained on.

A task is a line in :data:`TASKS`: the sets it draws clean pictures or pairs from, and what it does to them. A mixture
is a weight for some of them. :meth:`Mixture.batch` makes a batch from nothing but a generator, so a batch can be made
again: resumed training sees what uninterrupted training would have seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor

from anyir.data.catalogue import Patches, Pool, TrainingPictures
from anyir.data.degradations import (
    BROAD_RAIN,
    DISPLAY_GAMMA,
    HEAVY_RAIN,
    LIGHT_RAIN,
    RainShower,
    add_gaussian_noise,
    add_grain,
    add_haze,
    add_layer,
    add_rain,
    add_sensor_noise,
    blur,
    compress_jpeg,
    estimate_haze,
    expose,
    quantise,
    smooth_fields,
    trajectory_kernels,
    turn,
)
from anyir.data.sets import SETS
from anyir.errors import ConfigurationError
from anyir.picture import DATA_SUFFIXES, LUMA
from anyir.settings import nearest

Degrade = Callable[[Patches, Generator], Tensor]
"""From patches to degraded images (N, 3, P, P); the patches' clean images are the target."""

CLEAN_SOURCES: Final = ("bsds", "sunhays", "photos")


@dataclass(frozen=True)
class Task:
    """One kind of repair to learn.

    Attributes:
        sources: names of the sets it draws from (:data:`anyir.data.sets.SETS`).
        degrade: makes the degraded images.
        zooms: factors by which the pictures may be scaled down before a patch is cut, one drawn at random each time.
            A small patch of a scaled picture shows the whole scene, without which haze and darkness cannot be
            told from dull paint; and what is scaled down is sharper than any photograph at its full size. Pictures
            too small for the zoom are not drawn then; where all are too small for all zooms, none is scaled.
        tones: share of the samples whose tones are changed, degraded and clean image alike, as cameras differ in
            theirs: a dull picture is not to be taken for a hazy one.
        black_and_white: share of the samples that are made so, degraded and clean image alike.
        margin: pixels around a patch that are degraded with it and then cut off, so that what comes from outside comes
            from the picture and not from the patch's own mirror image. Fewer, or none, where one of the pictures that
            are large enough for the patch has no room for more.
        lenders: names of sets of pairs. What a pair of theirs gained when it was degraded is lent to each patch,
            for ``degrade`` to add: few pairs then show their rain over many pictures.
    """

    sources: tuple[str, ...]
    degrade: Degrade
    zooms: tuple[int, ...] = (1,)
    tones: float = 0.0
    black_and_white: float = 0.0
    margin: int = 0
    lenders: tuple[str, ...] = ()


def _between(patches: Patches, low: float, high: float, generator: Generator) -> Tensor:
    """(N,) uniform random numbers."""
    n, device = len(patches.clean), patches.clean.device
    return low + (high - low) * torch.rand(n, generator=generator, device=device)


def _log_between(patches: Patches, low: float, high: float, generator: Generator) -> Tensor:
    return torch.exp(_between(patches, math.log(low), math.log(high), generator))


def _paired(patches: Patches, generator: Generator) -> Tensor:
    return patches.degraded


def _unchanged(patches: Patches, generator: Generator) -> Tensor:
    return patches.clean


def _gaussian(
    patches: Patches, generator: Generator, low: float, high: float, truncate: bool = False
) -> Tensor:
    noisy = add_gaussian_noise(patches.clean, _between(patches, low, high, generator), generator)
    return quantise(noisy, truncate=truncate)


def _sensor(patches: Patches, generator: Generator) -> Tensor:
    shot = _log_between(patches, 0.0003, 0.02, generator)
    read = _log_between(patches, 0.7, 8.0, generator)
    return quantise(add_sensor_noise(patches.clean, shot, read, generator))


def _stored(patches: Patches, images: Tensor, compressed: Tensor, generator: Generator) -> Tensor:
    """Images as files hold them, in 8 bits; those that ``compressed`` (N,) names as JPEG of a camera's quality."""
    levels = quantise(images)
    as_jpeg = compress_jpeg(levels, _between(patches, 50, 95, generator).round())
    return torch.where(compressed[:, None, None, None], as_jpeg, levels)


def _grain(patches: Patches, generator: Generator) -> Tensor:
    """Half of it the same in all channels, half of it coarser than a pixel; a third is compressed as JPEG."""
    grey, white, stored = (_between(patches, 0, 1, generator) for _ in range(3))
    noisy = add_grain(
        patches.clean,
        _log_between(patches, 3.0, 50.0, generator),
        generator,
        own=torch.where(grey < 0.5, 0.0, _between(patches, 0.0, 0.5, generator)),
        width=torch.where(white < 0.5, 0.0, _between(patches, 0.3, 1.0, generator)),
    )
    return _stored(patches, noisy, stored < 1 / 3, generator)


def _rain(patches: Patches, generator: Generator, shower: RainShower) -> Tensor:
    return quantise(add_rain(patches.clean, generator, shower))


def _lent_rain(patches: Patches, generator: Generator) -> Tensor:
    """The streaks of a pair, stronger or weaker, and in half of the patches slanted and scaled."""
    assert patches.layer is not None, "a task that adds layers has lenders"
    turned = _between(patches, 0, 1, generator) < 0.5
    angles = torch.where(turned, _between(patches, -0.5, 0.5, generator), 0.0)
    scales = torch.where(turned, _log_between(patches, 0.8, 1.4, generator), 1.0)
    layer = torch.where(turned[:, None, None, None], turn(patches.layer, angles, scales), patches.layer)
    return quantise(add_layer(patches.clean, layer, _log_between(patches, 0.5, 2.0, generator)))


def _as_taken(patches: Patches, seen: Tensor, generator: Generator) -> Tensor:
    """What a camera makes of what it sees, (N, 3, H, W): a third with some of its noise, a third as JPEG, in 8 bits.

    Where contrast is to come back, noise and blocks would come with it, had the network never seen the two together.
    """
    noisy = (_between(patches, 0, 1, generator) < 1 / 3)[:, None, None, None]
    compressed = _between(patches, 0, 1, generator) < 1 / 3
    shot = _log_between(patches, 0.0001, 0.003, generator)
    read = _log_between(patches, 0.5, 3.0, generator)
    taken = torch.where(noisy, add_sensor_noise(seen, shot, read, generator), seen)
    return _stored(patches, taken, compressed, generator)


def _haze(patches: Patches, generator: Generator) -> Tensor:
    """Haze over depth from labels where there are any, else over smooth random depth; nearly neutral airlight."""
    clean = patches.clean
    near = _between(patches, 0.0, 0.6, generator)[:, None, None, None]
    span = _between(patches, 0.1, 0.9, generator)[:, None, None, None]
    imagined = near + span * smooth_fields(clean, generator)
    wobble = 0.15 * (smooth_fields(clean, generator) - 0.5)
    depth = torch.where(patches.has_depth[:, None, None, None], patches.depth + wobble, imagined).clamp(0, 1)
    grey = _between(patches, 0.65, 1.0, generator)[:, None]
    tint = 0.04 * (torch.rand((len(clean), 3), generator=generator, device=clean.device) - 0.5)
    beta = _log_between(patches, 0.5, 3.2, generator)
    return _as_taken(patches, add_haze(clean, depth, beta, (grey + tint).clamp(0, 1)), generator)


def _rehazed(patches: Patches, generator: Generator) -> Tensor:
    """The haze of a pair made thinner or thicker, over its own depth; in half of the patches of another airlight."""
    transmission, airlight = estimate_haze(patches.clean, patches.degraded)
    other = _between(patches, 0, 1, generator) < 0.5
    grey = torch.where(other, _between(patches, 0.7, 1.0, generator), airlight)[:, None]
    tint = 0.04 * (torch.rand((len(grey), 3), generator=generator, device=grey.device) - 0.5)
    tint = torch.where(other[:, None], tint, 0.0)
    thickness = _log_between(patches, 0.4, 2.0, generator)
    hazy = add_haze(patches.clean, -transmission.log(), thickness, (grey + tint).clamp(0, 1))
    return _as_taken(patches, hazy, generator)


def _reexposed(patches: Patches, generator: Generator) -> Tensor:
    """The dark images of pairs, their light multiplied by a gain drawn evenly over the stops.

    It lies between a quarter and what brings an image's mean to half of its clean image's, or 1 if that is more. Noise
    and grey steps are multiplied with the light, as when a picture is brightened afterwards. The clean image stays what
    it is: how bright a scene should come out does not depend on how dark it was taken.
    """
    mean_dark, mean_clean = (
        each.mean((1, 2, 3)).clamp_min(1 / 255) for each in (patches.degraded, patches.clean)
    )
    brightest = (0.5 * mean_clean / mean_dark).clamp_min(1.0) ** DISPLAY_GAMMA
    exposure = 0.25 * (brightest / 0.25) ** _between(patches, 0, 1, generator)
    return quantise(expose(patches.degraded, exposure))


def _blur(patches: Patches, generator: Generator, low: float = 3.0, high: float = 26.0) -> Tensor:
    """Camera shake over ``low`` to ``high`` pixels."""
    side = min(33, (patches.clean.shape[-1] // 2 - 1) * 2 + 1)
    kernels = trajectory_kernels(_log_between(patches, low, high, generator), side, generator)
    return quantise(blur(patches.clean, kernels))


def _dark(patches: Patches, generator: Generator) -> Tensor:
    exposed = expose(
        patches.clean,
        _log_between(patches, 0.005, 0.4, generator),
        _between(patches, 1.0, 1.25, generator),
    )
    noisy = add_sensor_noise(exposed, _log_between(patches, 0.0003, 0.004, generator), 1.0, generator)
    return quantise(noisy)


def _jpeg(patches: Patches, generator: Generator) -> Tensor:
    return compress_jpeg(patches.clean, _between(patches, 15, 85, generator).round())


_WILD: Final[tuple[tuple[float, Degrade], ...]] = (
    (0.2, _haze),
    (0.2, partial(_rain, shower=LIGHT_RAIN)),
    (0.3, _blur),
    (0.2, _dark),
    (0.5, _sensor),
    (0.5, _jpeg),
)
"""What may happen to one picture, and with what probability. One in eleven is spared everything."""


def _wild(patches: Patches, generator: Generator) -> Tensor:
    """Each of several degradations with its probability, an image; in an order drawn anew for each batch."""
    degraded = patches.clean
    for number in torch.randperm(len(_WILD), generator=_on_host(generator)).tolist():
        probability, degrade = _WILD[number]
        chosen = _between(patches, 0, 1, generator) < probability
        happened = degrade(patches._replace(clean=degraded), generator)
        degraded = torch.where(chosen[:, None, None, None], happened, degraded)
    return degraded


_NEEDS_PAIRS: Final[tuple[Degrade, ...]] = (_paired, _rehazed, _reexposed)
"""What begins with a pair's degraded images."""

TASKS: Final[Mapping[str, Task]] = {
    "noise15": Task(CLEAN_SOURCES, partial(_gaussian, low=15, high=15)),
    "noise25": Task(CLEAN_SOURCES, partial(_gaussian, low=25, high=25)),
    "noise50": Task(CLEAN_SOURCES, partial(_gaussian, low=50, high=50)),
    # Fractions of a grey level cut off, as the public code of this family does (a bias of −0.47 grey levels).
    "noise15_truncated": Task(CLEAN_SOURCES, partial(_gaussian, low=15, high=15, truncate=True)),
    "noise25_truncated": Task(CLEAN_SOURCES, partial(_gaussian, low=25, high=25, truncate=True)),
    "noise50_truncated": Task(CLEAN_SOURCES, partial(_gaussian, low=50, high=50, truncate=True)),
    "noise": Task(CLEAN_SOURCES, partial(_gaussian, low=1, high=60)),
    "sensor_noise": Task(CLEAN_SOURCES, _sensor, tones=0.5),
    "noise_real": Task(("noise_real",), _paired, tones=0.5),
    # What is left of noise in most files: a camera smooths colours more than brightness, and film has grains.
    "grain": Task(CLEAN_SOURCES, _grain, tones=0.5, black_and_white=0.5),
    "light_rain": Task(CLEAN_SOURCES, partial(_rain, shower=LIGHT_RAIN)),
    "heavy_rain": Task(CLEAN_SOURCES, partial(_rain, shower=HEAVY_RAIN)),
    "broad_rain": Task(CLEAN_SOURCES, partial(_rain, shower=BROAD_RAIN)),
    "lent_rain": Task(CLEAN_SOURCES, _lent_rain, lenders=("rain",)),
    "rain_pairs": Task(("rain",), _paired),
    "rain_real": Task(("rain_real",), _paired),
    # Only the smaller pictures have depth from labels, and a large patch finds none of them at a third of their size.
    "haze": Task(("bsds", "photos", "street", "sunhays"), _haze, zooms=(1, 2, 2, 3)),
    "haze_indoor": Task(("haze_indoor",), _paired, zooms=(2, 3)),
    "rehazed": Task(("haze_indoor",), _rehazed, zooms=(2, 3)),
    "blur": Task((*CLEAN_SOURCES, "street"), _blur, zooms=(1, 2), tones=0.5, margin=16),
    # What can still be undone: beyond a dozen pixels little is learnt, and that slowly.
    "light_blur": Task(
        (*CLEAN_SOURCES, "street"), partial(_blur, low=2.0, high=12.0), zooms=(1, 2), tones=0.5, margin=8
    ),
    "blur_pairs": Task(("blur",), _paired, zooms=(1, 2), tones=0.5),
    # More often at half its size: what a small part of a dark room shows says little of how bright the room should be.
    "lowlight": Task(("lowlight",), _paired, zooms=(1, 2, 2)),
    "reexposed": Task(("lowlight",), _reexposed, zooms=(1, 2, 3)),
    "dark": Task(CLEAN_SOURCES, _dark, zooms=(1, 2)),
    "jpeg": Task(CLEAN_SOURCES, _jpeg, tones=0.5),
    "wild": Task((*CLEAN_SOURCES, "street"), _wild, zooms=(1, 2)),
    "clean": Task(CLEAN_SOURCES, _unchanged, zooms=(1, 2), tones=0.5),
    # The pairs of the papers, and a user's own.
    "derain": Task(("rain_train_l",), _paired),
    "dehaze": Task(("ots",), _paired),
    "deblur": Task(("gopro_train",), _paired),
    "pairs": Task(("pairs",), _paired),
}


class Batch(NamedTuple):
    """Degraded and clean images, (N, 3, P, P) in [0, 1]."""

    degraded: Tensor
    clean: Tensor


def change_tones(patches: Patches, share: float, generator: Generator) -> Patches:
    """Give a share of the patches another tone curve, the same for degraded and clean image, back in 8 bits.

    Blacks are lifted by up to 0.22, the mid-tones moved by a power of 0.8 to 1.25, and colours paled to as little as
    a third of their distance from grey: what haze does, on a clear day.
    """
    chosen = _between(patches, 0, 1, generator) < share
    lift = torch.where(chosen, _between(patches, 0.0, 0.22, generator), 0.0)[:, None, None, None]
    power = torch.where(chosen, _log_between(patches, 0.8, 1.25, generator), 1.0)[:, None, None, None]
    colour = torch.where(chosen, _between(patches, 0.33, 1.1, generator), 1.0)[:, None, None, None]

    def curve(images: Tensor) -> Tensor:
        curved = lift + (1 - lift) * images**power
        grey = curved.mean(1, keepdim=True)
        return quantise(grey + colour * (curved - grey))

    return patches._replace(clean=curve(patches.clean), degraded=curve(patches.degraded))


def make_black_and_white(degraded: Tensor, clean: Tensor, share: float, generator: Generator) -> Batch:
    """Make a share of the samples black and white, both (N, 3, P, P) images of each, back in 8 bits; luma of BT.601."""
    drawn = torch.rand(len(clean), generator=generator, device=clean.device)
    chosen = (drawn < share)[:, None, None, None]

    def grey(images: Tensor) -> Tensor:
        red, green, blue = images.split(1, dim=1)
        luma = quantise(LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue)
        return torch.where(chosen, luma, images)

    return Batch(grey(degraded), grey(clean))


class Mixture:
    """Tasks with weights, over a split's pictures; every sample is drawn independently.

    Args:
        weights: task → relative share of the samples; at least one, none negative.
        pictures: a split that holds the sets of every task with a weight.
        sources: task → sets that it draws from instead of its own.
        scales: whether tasks draw from pictures scaled down too, each at its ``zooms``.
        tones: whether tasks change the ``tones`` of some samples.
        black_and_white: share of all samples that are made so once they are degraded.

    Raises:
        ConfigurationError: for an unknown task or an impossible weight.
    """

    def __init__(
        self,
        weights: Mapping[str, float],
        pictures: TrainingPictures,
        *,
        sources: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
        scales: bool = False,
        tones: bool = False,
        black_and_white: float = 0.0,
    ) -> None:
        check_weights(weights)
        self.pictures = pictures
        self.tasks = tuple(name for name, weight in weights.items() if weight > 0)
        self._sources = {name: task_sources(name, sources) for name in self.tasks}
        self._pools = {name: pictures.pool(each) for name, each in self._sources.items()}
        self._lenders = lenders(self.tasks, pictures)
        self._large: dict[tuple[str, int], Pool] = {}
        self._scales, self._tones, self._black_and_white = scales, tones, black_and_white
        shares = torch.tensor([weights[name] for name in self.tasks], dtype=torch.float64)
        self._cumulative = shares.cumsum(0) / shares.sum()

    def batch(self, samples: int, size: int, generator: Generator) -> Batch:
        """A batch in which every task has its share, to within one sample.

        The tasks are drawn by systematic sampling: one random offset and equal steps through the cumulative shares,
        which keeps the mixture even from batch to batch. Samples of a task lie together.

        Args:
            samples: N.
            size: side P of the patches.
            generator: on the pictures' device.
        """
        host = _on_host(generator)
        offset = float(torch.rand((), generator=host))
        places = (torch.arange(samples, dtype=torch.float64) + offset) / samples
        chosen = torch.searchsorted(self._cumulative, places).clamp_max(len(self.tasks) - 1)
        counts = torch.bincount(chosen, minlength=len(self.tasks)).tolist()
        zooms = [self._zoom(name, size, host) for name in self.tasks]
        parts = [
            self.task_batch(name, count, size, generator, zoom=zoom)
            for name, count, zoom in zip(self.tasks, counts, zooms, strict=True)
            if count
        ]
        batch = Batch(torch.cat([part.degraded for part in parts]), torch.cat([part.clean for part in parts]))
        if self._black_and_white:
            batch = make_black_and_white(*batch, self._black_and_white, generator)
        return batch

    def task_batch(self, name: str, samples: int, size: int, generator: Generator, *, zoom: int = 1) -> Batch:
        """A batch of one task, from pictures scaled down by ``zoom``."""
        task = TASKS[name]
        pool = self._pool(name, size * zoom)
        margin = max(0, min(task.margin, (pool.smallest_side // zoom - size) // 2))
        size += 2 * margin
        patches = self.pictures.draw(pool, samples, size, generator, zoom=zoom)
        if self._tones and task.tones:
            patches = change_tones(patches, task.tones, generator)
        if task.black_and_white:
            grey = make_black_and_white(patches.degraded, patches.clean, task.black_and_white, generator)
            patches = patches._replace(degraded=grey.degraded, clean=grey.clean)
        if name in self._lenders:
            patches = self.pictures.lend(self._lenders[name], patches, generator)
        inside = slice(margin, size - margin)
        return Batch(
            *(images[..., inside, inside] for images in (task.degrade(patches, generator), patches.clean))
        )

    def _zoom(self, name: str, size: int, host: Generator) -> int:
        """One of the task's zooms, drawn on the host, of those that leave any picture as large as a patch."""
        zooms = TASKS[name].zooms if self._scales else (1,)
        fitting = [zoom for zoom in zooms if size * zoom <= self._pools[name].largest_side] or [1]
        return fitting[int(torch.randint(len(fitting), (), generator=host))]

    def _pool(self, name: str, side: int) -> Pool:
        """The task's pictures, or those of them that are large enough to be cut to ``side`` where not all are."""
        whole = self._pools[name]
        if (
            side <= whole.smallest_side or side > whole.largest_side
        ):  # or too large for all: drawing will say so
            return whole
        if (name, side) not in self._large:
            self._large[name, side] = self.pictures.pool(self._sources[name], side)
        return self._large[name, side]


def _on_host(generator: Generator) -> Generator:
    """A generator on the CPU whose state follows from this one's; on the CPU, the generator itself.

    A number drawn on an accelerator is there only once all work queued before it is done, and the device then stands
    idle while the next batch is prepared. The generator's state is kept on the host and can be read at any time.
    """
    if generator.device.type == "cpu":
        return generator
    seed = np.random.SeedSequence(generator.get_state().tolist()).generate_state(1)[0]
    return Generator().manual_seed(int(seed))


def check_weights(weights: Mapping[str, float]) -> None:
    """Check the names and weights of a mixture.

    Raises:
        ConfigurationError: for an unknown task, a negative weight, or no weight above zero.
    """
    for name, weight in weights.items():
        if name not in TASKS:
            raise ConfigurationError(f"mixture: unknown task {name!r}{nearest(name, TASKS)}")
        if not (math.isfinite(weight) and weight >= 0):
            raise ConfigurationError(f"mixture {name} = {weight!r}: a weight must be a number of at least 0")
    if not any(weights.values()):
        raise ConfigurationError("mixture: no task has a weight above 0")


def task_sources(name: str, sources: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The sets that a task draws from: what ``sources`` says of it, or else its own."""
    return sources.get(name, TASKS[name].sources)


def task_sets(name: str, sources: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The sets that a task needs: those it draws from, and those that lend to it."""
    return (*task_sources(name, sources), *TASKS[name].lenders)


def lenders(tasks: Iterable[str], pictures: TrainingPictures) -> dict[str, Pool]:
    """Task → the pairs that lend to it, for the tasks that have lenders."""
    return {name: pictures.pool(TASKS[name].lenders) for name in tasks if TASKS[name].lenders}


def check_sources(sources: Mapping[str, tuple[str, ...]]) -> None:
    """Check the names of tasks and of the sets that they are to draw from.

    Raises:
        ConfigurationError: for an unknown task, or a set that is unknown, for testing, or without what the task needs.
    """
    training = [name for name, each in SETS.items() if each.use == "train"]
    for name, chosen in sources.items():
        if name not in TASKS:
            raise ConfigurationError(f"sources: unknown task {name!r}{nearest(name, TASKS)}")
        if not chosen:
            raise ConfigurationError(f"sources {name}: name at least one set")
        for each in chosen:
            if each not in training:
                raise ConfigurationError(f"sources {name}: no training set {each!r}{nearest(each, training)}")
            paired = all(layout.degraded is not None for layout in SETS[each].layouts)
            if TASKS[name].degrade in _NEEDS_PAIRS and not paired:
                raise ConfigurationError(
                    f"sources {name}: the set {each!r} has clean pictures only, and this task needs pairs"
                )


def check_leave_out(leave_out: Mapping[str, tuple[str, ...]]) -> None:
    """Check the names of sets, and that scenes are named without suffix.

    Raises:
        ConfigurationError: for a set that is unknown or for testing, or a file's name.
    """
    training = [name for name, each in SETS.items() if each.use == "train"]
    for name, scenes in leave_out.items():
        if name not in training:
            raise ConfigurationError(f"leave_out: no training set {name!r}{nearest(name, training)}")
        for scene in scenes:
            stem, dot, suffix = scene.rpartition(".")
            if dot and f".{suffix.lower()}" in DATA_SUFFIXES:
                raise ConfigurationError(
                    f"leave_out {name}: write {stem!r} for {scene!r}, without the suffix"
                )


def sources_of(
    weights: Mapping[str, float], sources: Mapping[str, tuple[str, ...]] = MappingProxyType({})
) -> tuple[str, ...]:
    """The sets that a mixture draws on, sorted."""
    check_weights(weights)
    used = {each for name, weight in weights.items() if weight > 0 for each in task_sets(name, sources)}
    return tuple(sorted(used))
