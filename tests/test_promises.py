"""The outer files agree with each other and with the package."""

import ast
import importlib.util
import json
import re
import shlex
from itertools import pairwise
from math import isqrt
from pathlib import Path

import pytest

from anyir.apps.degrade import parse_kind
from anyir.picture import limits

ROOT = Path(__file__).parents[1]


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def sample_commands():
    lines = [line for line in text("samples/make.sh").splitlines() if line.startswith("anyir degrade ")]
    return [line.removesuffix(" --overwrite") for line in lines]


def test_the_samples_readme_quotes_the_commands_that_made_them():
    quoted = re.findall(
        r"^\| `([^`]+)` \| `(anyir degrade [^`]+)` \|$", text("samples/README.md"), re.MULTILINE
    )
    assert [command for _, command in quoted] == sample_commands()
    assert [shlex.split(command)[4] for _, command in quoted] == [
        f"samples/degraded/{name}" for name, _ in quoted
    ]


@pytest.mark.parametrize("command", sample_commands())
def test_each_sample_has_its_original_and_known_kinds(command):
    words = shlex.split(command)
    assert (ROOT / words[2]).is_file() and (ROOT / words[4]).is_file()
    kinds = [value for option, value in pairwise(words) if option == "--kind"]
    assert len([parse_kind(kind) for kind in kinds]) >= 1


def test_every_sample_is_accounted_for():
    made = {shlex.split(command)[4] for command in sample_commands()}
    readme = text("samples/README.md")
    assert {f"samples/degraded/{path.name}" for path in (ROOT / "samples/degraded").iterdir()} == made
    assert [
        path.name for path in (ROOT / "samples/clean").iterdir() if f"| `{path.name}` |" not in readme
    ] == []


def test_constraints_pin_every_direct_dependency():
    lists = re.findall(
        r"^\w+ = \[\n(.*?)^\]", text("pyproject.toml").split("[project.scripts]")[0], re.S | re.M
    )
    wanted = {
        re.match(r"[\w.-]+", requirement).group()
        for each in lists
        for requirement in re.findall(r'^    "(.*?)",?$', each, re.MULTILINE)
        if "::" not in requirement and ">=" in requirement
    }
    pinned = set(re.findall(r"^([a-z0-9-]+)==", text("constraints.txt"), re.MULTILINE))
    assert len(wanted) > 15
    assert wanted - pinned - {"tomli"} == set()  # tomli is for Python 3.10 only, which constraints leave free


def pages():
    outer = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "samples/README.md")
    return (*outer, *(f"docs/{page.name}" for page in sorted((ROOT / "docs").glob("*.md"))))


@pytest.mark.parametrize("name", pages())
def test_links_between_files_lead_somewhere(name):
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", text(name))
    absent = [target for target in targets if not ((ROOT / name).parent / target).exists()]
    assert absent == []


def test_the_pages_quote_the_committed_results():
    spec = importlib.util.spec_from_file_location("tool", ROOT / "tools" / "make_readme_results.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    for file, name, block in tool.blocks():
        page = file.read_text(encoding="utf-8")
        assert tool.written_anew(page, name, block) == page, f"{file}, {name}: run {tool.__file__}"


def functions_in(path):
    """Names of the test functions in a file."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_test_that_the_page_on_safety_names_exists():
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", text("docs/safety.md"))
    assert len(named) > 40
    assert [f"{path}::{name}" for path, name in named if name not in functions_in(path)] == []


def test_every_complaint_has_an_answer_and_a_test():
    rows = text("docs/safety.md").split("| complaint |")[1].splitlines()[2:]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows if row.startswith("|")]
    assert len(cells) == 14
    for complaint, answer, tests in cells:
        assert complaint and answer and "::test_" in tests, complaint


def test_the_page_on_safety_states_the_limits_that_there_are():
    page = text("docs/safety.md")
    side = isqrt(limits.MAX_TILE_PIXELS)
    for words in (
        f"{limits.MAX_PIXELS // 10**6} megapixels",
        f"{limits.MAX_TEXT_CHUNK >> 20} MiB each, {limits.MAX_TEXTS >> 20} Mi characters in all, "
        f"{limits.MAX_INFLATED} of them |",
        f"| {limits.MAX_SCANS} scans |",
        f"or {side}×{side} |",
    ):
        assert words in page, words


def test_the_page_on_safety_quotes_the_committed_fuzz():
    result = json.loads(text("results/fuzz/fuzz.json"))
    counts = result["outcomes"]
    errors = result["files"] - counts["picture"]
    (looks,) = result["memory_mib"]
    quoted = (
        f"{result['files']:,} files gave {counts['picture']:,} pictures and {errors:,} errors of ours. "
        f"The slowest took {result['slowest']['ms']:.0f} ms of processor time; "
        f"the process had {looks[0]:.0f} MiB after the first thousand, {looks[-1]:.0f} at the end."
    )
    assert quoted in " ".join(text("docs/safety.md").split())
    assert result["command"] in text("docs/safety.md")
