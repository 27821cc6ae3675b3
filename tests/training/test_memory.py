"""Freed memory that is kept: seen in the pages that the system hands out."""

import ctypes
import platform
from types import SimpleNamespace

import pytest
import torch

from anyir.training import memory
from anyir.training.memory import freed_memory_kept

resource = pytest.importorskip("resource")
CPU = torch.device("cpu")
PIECE = 80 * 2**20
"""More than the library ever keeps or puts into its heap of its own accord."""
PAGES = PIECE // resource.getpagesize()
gnu = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs the GNU C library")


HUGE_PAGES_OFF = 41
"""Of prctl(2): PR_SET_THP_DISABLE. A huge page is one fault for 512 pages."""


@pytest.fixture(autouse=True)
def small_pages():
    if platform.system() != "Linux":
        yield
        return
    prctl = ctypes.CDLL(None).prctl
    prctl(HUGE_PAGES_OFF, 1, 0, 0, 0)
    yield
    prctl(HUGE_PAGES_OFF, 0, 0, 0, 0)


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
def test_gigabytes_are_kept():
    """Of a heap that has grown by many pieces, none of which is filled here."""
    library = ctypes.CDLL(None)
    library.malloc.restype = library.sbrk.restype = ctypes.c_void_p
    library.malloc.argtypes, library.free.argtypes = [ctypes.c_size_t], [ctypes.c_void_p]
    with freed_memory_kept(CPU):
        pieces = [library.malloc(PIECE) for _ in range(3 * 2**30 // PIECE)]
        grown = library.sbrk(0)
        for piece in pieces:
            library.free(piece)
        assert library.sbrk(0) == grown
    assert library.sbrk(0) <= grown - 2.5 * 2**30


@gnu
def test_a_library_that_refuses_is_not_said_to_keep(monkeypatch):
    monkeypatch.setattr(memory, "_KEPT", {12345: 0})
    real = memory._gnu_library()
    refusing = SimpleNamespace(
        mallopt=lambda parameter, value: int(parameter != 12345), malloc_trim=real.malloc_trim
    )
    monkeypatch.setattr(memory, "_gnu_library", lambda: refusing)
    with freed_memory_kept(CPU) as kept:
        assert not kept


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
