"""The catalogue: every data set that anyir knows, for training and for testing, as one table.

Each row knows the layouts that people have on disk: the sets as their authors publish them, the folders that the
public code of this family (AirNet, PromptIR and what follows them) asks for, and this project's own collection.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from anyir.data.depth import depth_from_segments, depth_from_street
from anyir.data.layouts import DataSet, Layout, no_rain, norain_times, scene

UNSTATED: Final = "none stated: treat as research only"
RESEARCH: Final = "research only"

_CBSD68: Final = (
    Layout("CBSD68/original_png"),
    Layout("CBSD68/original"),
    Layout("CBSD68"),
    Layout("denoise/bsd68"),
)

_TRAINING: Final = (
    DataSet(
        name="bsd400",
        title="BSD400",
        use="train",
        layouts=(
            Layout("BSD400"),
            Layout("Denoise/BSD400"),
            # With WED in one folder, as the family's code wants it; WED's names begin with 0, BSD's never do
            # (2018.jpg as published, a8143.jpg in PromptIR's lists).
            Layout("Denoise", files="[!0]*"),
        ),
        expected=400,
        terms="non-commercial research and education",
    ),
    DataSet(
        name="wed",
        title="Waterloo Exploration Database",
        use="train",
        layouts=(Layout("WED"), Layout("Denoise/WED"), Layout("Denoise", files="0????.*")),
        expected=4744,
        terms=RESEARCH,
    ),
    DataSet(
        name="rain_train_l",
        title="RainTrainL",
        use="train",
        layouts=(
            Layout("Derain", "gt", "rainy", no_rain, files="rain-*"),
            Layout("RainTrainL", "gt", "rainy", no_rain, files="rain-*"),
            Layout("RainTrainL", "", "", no_rain, files="rain-*"),
            Layout("RainTrainL", "norain", "rain", norain_times, deep=True),
            Layout("rain_data_train_Light", "norain", "rain", norain_times, deep=True),
        ),
        expected=200,
        terms=UNSTATED,
    ),
    DataSet(
        name="ots",
        title="RESIDE OTS",
        use="train",
        layouts=(
            Layout("Dehaze", "original", "synthetic", scene, deep=True),
            Layout("OTS", "clear", "hazy", scene, deep=True),
            Layout("OTS_BETA", "clear", "haze", scene, deep=True),
            Layout("OTS", "gt", "hazy", scene, deep=True),
        ),
        expected=72135,
        terms=RESEARCH,
    ),
    DataSet(
        name="gopro_train",
        title="GoPro",
        use="train",
        layouts=(
            Layout("Deblur", "sharp", "blur"),
            Layout("GoPro", "target", "input", below_use=True),
            Layout("GoPro/train", "target", "input"),
            Layout("GoPro/train", "sharp", "blur"),
            Layout("GoPro/train/*", "sharp", "blur"),
            Layout("GOPRO_Large/train/*", "sharp", "blur"),
        ),
        expected=2103,
        terms="CC BY 4.0",
    ),
    DataSet(
        name="lowlight",
        title="LOL-v1 our485",
        use="train",
        layouts=(
            Layout("Enhance", "gt", "low"),
            Layout("our485", "high", "low"),
            Layout("LOLdataset/our485", "high", "low"),
            Layout("LOLv1/our485", "high", "low"),
            Layout("lowlight", "normal", "low"),
        ),
        expected=485,
        terms=UNSTATED,
    ),
    DataSet(
        name="bsds",
        title="BSDS500 with segmentations, less what is tested on",
        use="train",
        layouts=(Layout("clean", "bsds", labels="bsds_segments"),),
        expected=365,
        terms="non-commercial research and education",
        official=False,
        depth=depth_from_segments,
    ),
    DataSet(
        name="sunhays",
        title="Sun-Hays 80, part",
        use="train",
        layouts=(Layout("clean/sunhays"),),
        expected=44,
        terms=UNSTATED,
        official=False,
    ),
    DataSet(
        name="photos",
        title="desktop wallpapers, scaled down",
        use="train",
        layouts=(Layout("clean/photos"),),
        expected=80,
        terms="CC0, CC BY, GPL and others",
        official=False,
    ),
    DataSet(
        name="street",
        title="CamVid with labels, part",
        use="train",
        layouts=(Layout("street", "rgb", labels="labels"),),
        expected=59,
        terms=UNSTATED,
        official=False,
        depth=depth_from_street,
    ),
    DataSet(
        name="blur",
        title="averaged frames of one video",
        use="train",
        layouts=(Layout("blur", "sharp", "blurred"),),
        expected=15,
        terms=UNSTATED,
        official=False,
    ),
    DataSet(
        name="rain",
        title="synthetic rain",
        use="train",
        layouts=(Layout("rain", "clean", "rainy"),),
        expected=11,
        terms=UNSTATED,
        official=False,
    ),
    DataSet(
        name="rain_real",
        title="GT-RAIN, frames",
        use="train",
        layouts=(Layout("rain_real", "clean", "rainy", scene),),
        expected=39,
        terms=UNSTATED,
        official=False,
    ),
    DataSet(
        name="haze_indoor",
        title="RESIDE SOTS-indoor, 30 scenes",
        use="train",
        layouts=(Layout("haze_indoor", "clear", "hazy", scene),),
        expected=90,
        terms=UNSTATED,
        official=False,
    ),
    DataSet(
        name="noise_real",
        title="PolyU real noise, 80 crops",
        use="train",
        layouts=(Layout("noise_real", "clean", "noisy"),),
        expected=80,
        terms="non-commercial",
        official=False,
    ),
    DataSet(
        name="pairs",
        title="pairs of your own",
        use="train",
        layouts=tuple(
            Layout("", clean, degraded)
            for clean, degraded in (
                ("clean", "degraded"),
                ("target", "input"),
                ("gt", "input"),
                ("clean", "noisy"),
                ("clean", "rainy"),
                ("clear", "hazy"),
                ("sharp", "blur"),
                ("high", "low"),
            )
        ),
        expected=None,
        terms="yours",
        official=False,
    ),
    DataSet(
        name="pictures",
        title="clean pictures of your own",
        use="train",
        layouts=(Layout("pictures"), Layout("clean"), Layout("")),
        expected=None,
        terms="yours",
        official=False,
    ),
)

_TEST: Final = (
    DataSet("cbsd68", "CBSD68", "test", _CBSD68, 68, "non-commercial research and education"),
    DataSet("urban100", "Urban100", "test", (Layout("Urban100/HR"), Layout("Urban100"), Layout("denoise/urban100")),
            100, UNSTATED),
    DataSet("kodak24", "Kodak24", "test", (Layout("Kodak24"), Layout("Kodak"), Layout("denoise/kodak24")), 24,
            "released for unrestricted use"),
    DataSet("mcmaster", "McMaster", "test", (Layout("McMaster"), Layout("denoise/mcmaster")), 18, RESEARCH),
    DataSet(
        name="polyu-partial",
        title="PolyU, real noise (part)",
        use="test",
        layouts=(Layout("PolyU_partial", "clean", "noisy"),),
        expected=20,
        terms="non-commercial",
        official=False,
    ),
    DataSet(
        name="rain100l",
        title="Rain100L",
        use="test",
        layouts=(
            Layout("Rain100L", "target", "input"),
            Layout("derain/Rain100L", "target", "input"),
            Layout("Rain100L", "norain", "rain", no_rain, files="rain-*"),
            Layout("Rain100L", "norain", "rain", norain_times, deep=True),
            Layout("Rain100L", "", "", no_rain, files="rain-*"),
            Layout("rain_data_test_Light", "norain", "rain", norain_times, deep=True),
        ),
        expected=100,
        terms=UNSTATED,
    ),
    DataSet(
        name="sots-outdoor",
        title="SOTS-outdoor",
        use="test",
        layouts=(
            Layout("SOTS_outdoor", "clear", "hazy", scene),
            Layout("SOTS/outdoor", "gt", "hazy", scene),
            Layout("SOTS/outdoor", "clear", "hazy", scene),
            Layout("dehaze", "target", "input", scene),
        ),
        expected=500,
        terms=RESEARCH,
    ),
    DataSet(
        name="sots-outdoor-two",
        title="SOTS-outdoor (two pictures)",
        use="test",
        layouts=(Layout("SOTS_outdoor_two", "clear", "hazy", scene),),
        expected=2,
        terms=RESEARCH,
        official=False,
    ),
    DataSet(
        name="sots-indoor-partial",
        title="SOTS-indoor (part)",
        use="test",
        layouts=(Layout("SOTS_indoor_partial", "clear", "hazy", scene),),
        expected=20,
        terms=RESEARCH,
        official=False,
    ),
    DataSet(
        name="haze-partial",
        title="RESIDE haze (sample)",
        use="test",
        layouts=(Layout("haze_partial", "clear", "hazy"),),
        expected=10,
        terms=RESEARCH,
        official=False,
    ),
    DataSet(
        name="gopro",
        title="GoPro",
        use="test",
        layouts=(
            Layout("GoPro", "target", "input", below_use=True),
            Layout("GoPro/test", "target", "input"),
            Layout("GoPro/test/*", "sharp", "blur"),
            Layout("GOPRO_Large/test/*", "sharp", "blur"),
            Layout("deblur/gopro", "target", "input"),
        ),
        expected=1111,
        terms="CC BY 4.0",
    ),
    DataSet(
        name="blur-partial",
        title="Averaged frames (unofficial)",
        use="test",
        layouts=(Layout("blur_partial", "sharp", "blurred"),),
        expected=6,
        terms=UNSTATED,
        official=False,
    ),
    DataSet(
        name="lolv1",
        title="LOL-v1 eval15",
        use="test",
        layouts=(
            Layout("LOLv1/eval15", "high", "low"),
            Layout("LOLdataset/eval15", "high", "low"),
            Layout("eval15", "high", "low"),
            Layout("enhance/lol", "target", "input"),
        ),
        expected=15,
        terms=UNSTATED,
    ),
)  # fmt: skip

SETS: Final[Mapping[str, DataSet]] = {each.name: each for each in (*_TRAINING, *_TEST)}
"""Every set, by name, those for training first."""

GENERIC: Final = ("pairs", "pictures")
"""Sets of the user's own: their layouts fit many folders, so they count only where a recipe or the user names them."""
