"""A small share of the damaged files, and a reader that does all that a reader must not, which must be noticed."""

import importlib.util
import json
import sys
from collections import Counter
from pathlib import Path

import pytest

from anyir.picture import read

TOOL = Path(__file__).resolve().parents[2] / "tools" / "fuzz_read.py"

FAULTY = """
import ctypes, sys, time, warnings
from pathlib import Path

from anyir.errors import UnreadablePicture

kept = []


def read(path):
    number = int(Path(path).stem)
    if number == 3:
        raise ValueError("of another library")
    if number == 5:
        raise UnreadablePicture("two\\nlines")
    if number == 7:
        end = time.process_time() + 0.3
        while time.process_time() < end:
            pass
    if number == 9:
        ctypes.string_at(0)
    if number == 11:
        warnings.warn("unheard")
    if number == 12:
        sys.exit(3)
    if number > 12:
        kept.append(bytearray(b"x" * 2**20))
"""


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOL.parent))
    spec = importlib.util.spec_from_file_location("fuzz_read", TOOL)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "fuzz_read", module)
    spec.loader.exec_module(module)
    yield module
    sys.modules.pop("mutants", None)


def test_some_hundred_damaged_files_give_pictures_and_our_errors(tool, tmp_path):
    tool.main(["--files", "400", "--seed", "7", "--keep", str(tmp_path / "kept"), "-o", str(tmp_path)])
    result = json.loads((tmp_path / "fuzz.json").read_text())
    assert (result["files"], result["seed"], result["faults"]) == (400, 7, {})
    assert result["outcomes"].keys() <= {
        "picture",
        "UnreadablePicture",
        "UnsupportedPicture",
        "PictureTooLarge",
    }
    assert sum(result["outcomes"].values()) == 400
    assert result["outcomes"]["picture"] > 80 and result["outcomes"]["UnreadablePicture"] > 80
    kinds = result["kinds"]
    assert len(kinds) >= 16
    assert sum((Counter(each["outcomes"]) for each in kinds.values()), Counter()) == result["outcomes"]
    assert result["slowest"]["ms"] == max(each["slowest_ms"] for each in kinds.values()) > 0
    assert {"pillow", "libjpeg_turbo", "libtiff", "webp", "python"} < result["versions"].keys()
    assert list((tmp_path / "kept").iterdir()) == []
    assert "- faults: 0" in (tmp_path / "fuzz.md").read_text()


def test_all_that_a_reader_must_not_do_is_noticed_and_its_file_kept(tool, tmp_path, monkeypatch, capsys):
    (tmp_path / "faulty.py").write_text(FAULTY)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(tool, "MAX_GROWTH_MIB", 5)
    options = [
        "--files",
        "40",
        "--keep",
        str(tmp_path / "kept"),
        "--reader",
        "faulty:read",
        "--slow-ms",
        "250",
    ]
    with pytest.raises(SystemExit, match="memory grew; 6 faults"):
        tool.main([*options, "-o", str(tmp_path)])
    result = json.loads((tmp_path / "fuzz.json").read_text())
    faults = {int(number): fault for number, fault in result["faults"].items()}
    assert faults.keys() == {3, 5, 7, 9, 11, 12}
    assert faults[3] == "ValueError: of another library"
    assert faults[5] == r"UnreadablePicture: not one line: 'two\nlines'"
    assert faults[7].startswith("took ") and faults[7].endswith(" ms")
    assert faults[9].startswith("the process died with -") and faults[12].startswith(
        "the process died with 3"
    )
    assert faults[11] == "UserWarning: unheard"
    assert result["outcomes"] == {"picture": 35, "not ours": 2, "process died": 2, "UnreadablePicture": 1}
    assert {int(path.stem) for path in (tmp_path / "kept").iterdir()} == faults.keys()
    assert 10 < result["memory_growth_mib"] < 40
    assert "3: ValueError: of another library" in capsys.readouterr().out


def test_a_file_follows_from_its_number_and_the_seed(tool):
    sources = tool.make_sources()
    assert {source.format for pair in sources.values() for source in pair} >= {"jpeg", "png", "webp", "tiff"}
    for small, large in sources.values():
        assert {read(small.data).width, read(small.data).height} == {48, 40}, "sound before it is damaged"
        assert {read(large.data).width, read(large.data).height} == {600, 400}
    assert {read(small.data).depth for small, _ in sources.values()} == {8, 16}
    first, again, other = (tool.mutant(5, seed, sources) for seed in (0, 0, 1))
    assert first == again != other
    made = [tool.mutant(number, 0, sources) for number in range(300)]
    assert len({each.data for each in made}) > 290
    assert {each.kind for each in made} == sources.keys()
    lies = [each for each in made if each.suffix != sys.modules["mutants"].SUFFIXES[each.kind.split()[0]]]
    assert 20 < len(lies) < 80


def test_the_committed_result_is_of_a_run_without_faults(tool):
    folder = TOOL.parents[1] / "results" / "fuzz"
    result = json.loads((folder / "fuzz.json").read_text())
    assert result["files"] == sum(result["outcomes"].values()) == 20_000
    assert result["faults"] == {}
    assert result["slowest"]["ms"] < tool.SLOW_MS and result["memory_growth_mib"] < tool.MAX_GROWTH_MIB
    assert (folder / "fuzz.md").read_text() == tool.markdown(result)
    assert result["command"].startswith("python tools/fuzz_read.py --files 20000")
