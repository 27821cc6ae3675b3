import json
from dataclasses import replace

import numpy as np
import pytest

from anyir.data.catalogue import Row
from anyir.errors import DataError, WeightsError
from anyir.evaluation.exposure_study import markdown, study_exposures, to_json
from anyir.picture import write_image


def grey(level, height=24, width=40):
    return np.full((height, width, 3), level, np.uint8)


@pytest.fixture
def pair(tmp_path):
    """pair(dark, clean) → a row of a set, on disk."""
    made = []

    def make(dark, clean):
        files = [tmp_path / f"{len(made)}-{kind}.png" for kind in ("dark", "clean")]
        for file, image in zip(files, (dark, clean), strict=True):
            write_image(image, file)
        made.append(files)
        return Row("lowlight", f"scene{len(made)}", files[1], files[0], None)

    return make


def test_a_picture_is_scored_at_every_gain_as_it_is_and_at_its_best_brightness(pair):
    """Four times as bright is right for the dark picture as it is, and too much by half for a brighter one."""
    clean = grey(120)
    clean[:, :20] = 60
    example = pair(clean // 4, clean)
    as_it_is, brighter = study_exposures([example], lambda image: image * 4, (1.0, 1.5))
    assert (as_it_is.name, as_it_is.gain, brighter.gain) == ("scene1", 1.0, 1.5)
    assert as_it_is.restored_psnr == as_it_is.scaled_psnr == 100.0  # a value that JSON holds
    assert as_it_is.degraded_psnr == pytest.approx(
        -20 * np.log10(0.75 * np.sqrt((60**2 + 120**2) / 2) / 255), abs=1e-3
    )
    assert as_it_is.restored_mean == pytest.approx(as_it_is.clean_mean) == pytest.approx(90 / 255)
    off = (np.rint(np.array([15, 30]) * 1.5) * 4 - (60, 120)) / 255
    assert brighter.restored_psnr == pytest.approx(-10 * np.log10(np.square(off).mean()), abs=1e-3)
    assert brighter.scaled_psnr > brighter.restored_psnr + 20


def test_grey_levels_are_those_of_a_file_and_results_are_clipped(pair):
    seen = []
    example = pair(grey(100), grey(255))

    def restore(image):
        seen.append(image)
        return image + 1

    (exposed,) = study_exposures([example], restore, (3.0,))
    assert (seen[0] == 1.0).all() and exposed.restored_psnr == 100.0
    study_exposures([example], restore, (0.123,))
    assert np.unique(np.rint(seen[1] * 255)).tolist() == [12] and np.allclose(seen[1] * 255, 12, atol=1e-4)


def test_black_has_no_better_brightness(pair):
    (exposed,) = study_exposures([pair(grey(0), grey(100))], lambda image: image, (1.0,))
    assert exposed.restored_psnr == exposed.scaled_psnr == pytest.approx(-20 * np.log10(100 / 255), abs=1e-3)


def test_pictures_are_cut_to_what_the_network_takes_and_must_fit(pair):
    sizes = []
    study_exposures(
        [pair(grey(9, 30, 45), grey(9, 30, 45))], lambda image: sizes.append(image.shape) or image, (1.0,)
    )
    assert sizes == [(24, 40, 3)]
    with pytest.raises(DataError, match=r"1-dark\.png: its size is not that of"):
        study_exposures(
            [pair(grey(9, 45, 40), grey(9, 40, 40))], lambda image: image, (1.0,)
        )  # equal once cut


def test_what_cannot_be_scored_is_named(pair):
    example = pair(grey(20), grey(100))
    with pytest.raises(WeightsError, match=r"0-dark\.png: what these weights make of it is not finite"):
        study_exposures([example], lambda image: image * np.float32(np.nan), (1.0,))
    with pytest.raises(DataError, match=r"0-clean\.png: it has no dark picture"):
        study_exposures([replace(example, degraded=None)], lambda image: image, (1.0,))


def test_the_table_has_means_over_pictures(pair):
    examples = [pair(grey(20), grey(100)), pair(grey(40), grey(100))]
    studies = {
        "same": study_exposures(examples, lambda image: image, (1.0, 2.0)),
        "ninety": study_exposures(examples, lambda image: np.full_like(image, 90 / 255), (1.0, 2.0)),
    }
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in markdown(studies).splitlines()]
    assert lines[0] == ["PSNR in dB", "× 1", "× 2", "mean", "at the best brightness", "brightness off by"]
    db = [[-20 * np.log10(off / 255) for off in pair] for pair in ((80, 60), (60, 20))]
    means = [f"{np.mean(each):.2f}" for each in (*db, db)]
    assert lines[2] == ["degraded", *means, "", ""] and lines[3][:4] == ["same", *means]
    assert lines[4] == ["ninety", "28.13", "28.13", "28.13", "100.00", "0.039"]
    assert lines[6][0].startswith("2 whole pictures")
    content = json.loads(to_json(studies, {"command": "this"}))
    assert content["command"] == "this" and [len(each) for each in content["studies"].values()] == [4, 4]
    assert content["studies"]["ninety"][0]["restored_mean"] == pytest.approx(90 / 255, abs=1e-4)
