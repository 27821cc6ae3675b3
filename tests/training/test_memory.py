"""Freed memory that is kept: seen in the pages that the system hands out."""

import ctypes
import platform

import pytest
import torch

from anyir.training import memory
from anyir.training.memory import freed_memory_kept

resource = pytest.importorskip("resource")
CPU = torch.device("cpu")
PIECE = 32 * 2**20
PAGES = PIECE // resource.getpagesize()
gnu = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs the GNU C library")


def faults_of(times):
    """Pages handed out while a large piece of memory is taken, filled and freed so many times."""
    library = ctypes.CDLL(None)
    library.malloc.restype = ctypes.c_void_p
    library.malloc.argtypes = [ctypes.c_size_t]
    library.free.argtypes = [ctypes.c_void_p]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        piece = library.malloc(PIECE)
        ctypes.memset(piece, 1, PIECE)
        library.free(piece)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@gnu
def test_the_same_pages_serve_again_and_later_go_back():
    with freed_memory_kept(CPU) as kept:
        assert kept
        faults_of(1)
        inside = faults_of(10)
    assert inside < PAGES / 2
    assert faults_of(10) > 9 * PAGES


@gnu
def test_an_error_ends_it_too():
    with pytest.raises(KeyError), freed_memory_kept(CPU):
        raise KeyError
    assert faults_of(10) > 9 * PAGES


@pytest.mark.parametrize(
    ("system", "library"), [("Darwin", ("", "")), ("Windows", ("", "")), ("Linux", ("", ""))]
)
def test_other_libraries_are_left_alone(monkeypatch, system, library):
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "libc_ver", lambda: library)
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: pytest.fail("asked for"))
    with freed_memory_kept(CPU) as kept:
        assert not kept


@gnu
def test_a_gpu_has_a_store_of_its_own(monkeypatch):
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: pytest.fail("asked for"))
    with freed_memory_kept(torch.device("cuda")) as kept:
        assert not kept
