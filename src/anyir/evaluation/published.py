"""The published numbers, as printed: nothing here was measured again.

Source: Ren et al., "Any Image Restoration with Efficient Automatic Degradation Adaptation", arXiv 2407.13372, Tables 1,
2, 3, 4 and 7; of methods that it does not compare with, the averages in their own papers. PSNR in dB and SSIM, both on
RGB and means over pictures. A column bears the name of its test set in :data:`anyir.evaluation.sets.SETS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

PAPER: Final = "arXiv 2407.13372"
MOCE_IR: Final = "arXiv 2411.18466"
ADAIR: Final = "arXiv 2403.14614"


@dataclass(frozen=True)
class Mean:
    """Over the pictures of a set, or over sets: PSNR in dB and SSIM; None where that is not known."""

    psnr: float
    ssim: float | None = None


@dataclass(frozen=True)
class PublishedRow:
    """One method.

    Attributes:
        method: its name in the paper.
        parameters_millions: as printed; None where it is not.
        means: one for each column of the table; None where the method's figure is not taken.
        average: as printed, which is not always the mean of the columns: see :data:`DEVIATIONS`.
        source: the paper and table.
    """

    method: str
    parameters_millions: float | None
    means: tuple[Mean | None, ...]
    average: Mean | None
    source: str


@dataclass(frozen=True)
class PublishedTable:
    """One table of results.

    Attributes:
        name: a word for it.
        title: what is compared.
        source: the paper and table.
        sets: names of the test sets, in the order of the paper's columns.
        rows: in the order of the paper.
    """

    name: str
    title: str
    source: str
    sets: tuple[str, ...]
    rows: tuple[PublishedRow, ...]


@dataclass(frozen=True)
class PublishedComplexity:
    """Of one method, at 224×224: memory on an A100 GPU, parameters, and multiply-accumulates ("FLOPs")."""

    method: str
    gpu_memory_mb: float
    parameters_millions: float
    macs_billions: float


@dataclass(frozen=True)
class PublishedTimes:
    """Of one method: seconds on an A100 GPU for a whole test set, by the set's name."""

    method: str
    seconds: Mapping[str, float]


Pair = tuple[float, float]
"""PSNR and SSIM."""

Printed = tuple[str, float | None, Pair, Pair, Pair, Pair, Pair, Pair]
"""A row as the paper prints it: method, parameters, five columns, average."""


def _rows(source: str, rows: tuple[Printed, ...]) -> tuple[PublishedRow, ...]:
    return tuple(
        PublishedRow(method, parameters, tuple(Mean(*pair) for pair in pairs), Mean(*average), source)
        for method, parameters, *pairs, average in rows
    )


def _single(method: str, *pairs: Pair) -> PublishedRow:
    return PublishedRow(method, None, tuple(Mean(*pair) for pair in pairs), None, f"{PAPER}, Table 3")


def _average_only(method: str, parameters_millions: float | None, psnr: float, source: str) -> PublishedRow:
    return PublishedRow(method, parameters_millions, (None,) * 5, Mean(psnr), source)


# fmt: off
_THREE: Final[tuple[Printed, ...]] = (
    ("BRDNet", None, (23.23, .895), (27.42, .895), (32.26, .898), (29.76, .836), (26.34, .693), (27.80, .843)),
    ("LPNet", None, (20.84, .828), (24.88, .784), (26.47, .778), (24.77, .748), (21.26, .552), (23.64, .738)),
    ("FDGAN", None, (24.71, .929), (29.89, .933), (30.25, .910), (28.81, .868), (26.43, .776), (28.02, .883)),
    ("DL", 2, (26.92, .931), (32.62, .931), (33.05, .914), (30.41, .861), (26.90, .740), (29.98, .876)),
    ("MPRNet", 16, (25.28, .955), (33.57, .954), (33.54, .927), (30.89, .880), (27.56, .779), (30.17, .899)),
    ("AirNet", 9, (27.94, .962), (34.90, .967), (33.92, .933), (31.26, .888), (28.00, .797), (31.20, .910)),
    ("PromptIR", 36, (30.58, .974), (36.37, .972), (33.98, .933), (31.31, .888), (28.06, .799), (32.06, .913)),
    ("AnyIR", 6, (31.38, .979), (37.90, .981), (33.95, .933), (31.29, .889), (28.03, .797), (32.51, .916)),
)

_FIVE: Final[tuple[Printed, ...]] = (
    ("NAFNet", 17, (25.23, .939), (35.56, .967), (31.02, .883), (26.53, .808), (20.49, .809), (27.76, .881)),
    ("DGUNet", 17, (24.78, .940), (36.62, .971), (31.10, .883), (27.25, .837), (21.87, .823), (28.32, .891)),
    ("SwinIR", 1, (21.50, .891), (30.78, .923), (30.59, .868), (24.52, .773), (17.81, .723), (25.04, .835)),
    ("Restormer", 26, (24.09, .927), (34.81, .962), (31.49, .884), (27.22, .829), (20.41, .806), (27.60, .881)),
    ("DL", 2, (20.54, .826), (21.96, .762), (23.09, .745), (19.86, .672), (19.83, .712), (21.05, .743)),
    ("TransWeather", 38, (21.32, .885), (29.43, .905), (29.00, .841), (25.12, .757), (21.21, .792), (25.22, .836)),
    ("TAPE", 1, (22.16, .861), (29.67, .904), (30.18, .855), (24.47, .763), (18.97, .621), (25.09, .801)),
    ("AirNet", 9, (21.04, .884), (32.98, .951), (30.91, .882), (24.35, .781), (18.18, .735), (25.49, .847)),
    ("IDR", 15, (25.24, .943), (35.63, .965), (31.60, .887), (27.87, .846), (21.34, .826), (28.34, .893)),
    ("AnyIR", 6, (29.84, .977), (36.91, .977), (31.15, .882), (26.86, .822), (23.50, .845), (29.65, .901)),
)

# fmt: on

THREE: Final = PublishedTable(
    "three",
    "One network for three degradations",
    f"{PAPER}, Table 1",
    ("sots-outdoor", "rain100l", "cbsd68-15", "cbsd68-25", "cbsd68-50"),
    (
        *_rows(f"{PAPER}, Table 1", _THREE),
        _average_only("AdaIR", None, 32.69, ADAIR),
        _average_only("MoCE-IR", 25, 32.73, MOCE_IR),
    ),
)

FIVE: Final = PublishedTable(
    "five",
    "One network for five degradations",
    f"{PAPER}, Table 2",
    ("sots-outdoor", "rain100l", "cbsd68-25", "gopro", "lolv1"),
    (
        *_rows(f"{PAPER}, Table 2", _FIVE),
        _average_only("AdaIR", None, 30.20, ADAIR),
        _average_only("MoCE-IR", 25, 30.58, MOCE_IR),
    ),
)

SINGLE: Final = PublishedTable(
    "single",
    "A network of its own for each degradation",
    f"{PAPER}, Table 3",
    THREE.sets,
    (
        _single("PromptIR", (31.31, 0.973), (37.04, 0.979), (34.34, 0.938), (31.71, 0.897), (28.49, 0.813)),
        _single("AnyIR", (30.92, 0.979), (37.79, 0.982), (34.27, 0.937), (31.63, 0.896), (28.39, 0.810)),
    ),
)

TABLES: Final = (THREE, FIVE, SINGLE)

DEVIATIONS: Final[Mapping[tuple[str, str, Literal["psnr", "ssim"]], float]] = MappingProxyType(
    {
        ("three", "DL", "ssim"): 0.875,
        ("three", "AirNet", "ssim"): 0.909,
        ("five", "NAFNet", "psnr"): 27.77,
        ("five", "SwinIR", "ssim"): 0.836,
        ("five", "Restormer", "ssim"): 0.882,
        ("five", "DL", "psnr"): 21.06,
    }
)
"""(table, method, measure) → what the printed columns average to, where the printed average is another number. All are
one last digit away, as the mean of figures of more digits than are printed can be."""

COMPLEXITY_SOURCE: Final = f"{PAPER}, Table 4"

COMPLEXITY: Final = (
    PublishedComplexity("AirNet", 4829, 8.93, 238),
    PublishedComplexity("PromptIR", 9830, 35.59, 132),
    PublishedComplexity("IDR", 4905, 15.34, 98),
    PublishedComplexity("AnyIR", 3556, 6.29, 19),
)

TIMES_SOURCE: Final = f"{PAPER}, Table 7"

TIMES: Final = (
    PublishedTimes("PromptIR", MappingProxyType({"cbsd68-25": 41, "rain100l": 60, "sots-outdoor": 416})),
    PublishedTimes("AnyIR", MappingProxyType({"cbsd68-25": 30, "rain100l": 43, "sots-outdoor": 274})),
)
"""The paper's "denoising" stands under σ = 25: the pictures are the same at every σ."""
