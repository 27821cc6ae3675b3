import hashlib

import numpy as np
import pytest

from anyir import __version__
from anyir.errors import WeightsNotFound
from anyir.inference import Restorer
from anyir.inference.provenance import with_note
from anyir.inference.weights import WeightsFile, resolve
from anyir.picture import Metadata, Picture

PICTURE = Picture(np.zeros((2, 2, 3), np.uint8), metadata=Metadata(icc=b"profile"))


def test_the_note_names_version_weights_hash_strength_and_engine(add_model):
    path = add_model(0.1)
    restorer = Restorer(path, device="cpu")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    noted = with_note(PICTURE, restorer, 0.5)
    assert noted.metadata.xmp is not None
    assert (
        f'"weights=add; sha256={sha256}; strength=0.5; engine=CPUExecutionProvider"'.encode()
        in noted.metadata.xmp
    )
    assert f'"anyir {__version__}"'.encode() in noted.metadata.xmp
    assert noted.metadata.icc == b"profile" and noted.pixels is PICTURE.pixels


def test_an_engine_of_ones_own_has_no_hash(identity):
    restorer = Restorer(engine=identity)
    assert restorer.sha256 is None
    assert b'"weights=FunctionEngine; strength=1; engine=TestProvider"' in (
        with_note(PICTURE, restorer, 1).metadata.xmp or b""
    )


def test_where_nothing_was_done_nothing_is_noted(identity):
    assert with_note(PICTURE, Restorer(engine=identity), 0) is PICTURE


def test_the_hash_of_shipped_weights_is_that_of_their_file(weights):
    file = resolve("tiny", weights)
    assert file.sha256() == hashlib.sha256(file.path.read_bytes()).hexdigest()


def test_weights_that_are_gone_have_no_hash(tmp_path):
    with pytest.raises(WeightsNotFound, match=r"gone\.onnx cannot be read"):
        WeightsFile("gone", tmp_path / "gone.onnx", None).sha256()
