"""Read damaged pictures by the thousand: each must give a picture or one of our errors, soon, and leak no memory.

    python tools/fuzz_read.py [--files 20000] [--seed 0] [--keep DIR] -o results/fuzz

The files are those of tools/mutants.py. They are read in a process of their own, which is started again where it dies.
Fails on an error that is not ours or not one line, on a death, on a read that takes more than 2 s of processor time,
and where memory grows. What failed is kept in DIR. Writes fuzz.json and fuzz.md.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import platform
import shlex
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from mutants import WAYS, make_sources, mutant
from PIL import features

from anyir.errors import AnyirError
from anyir.files import make_folder, write_atomically

SLOW_MS: Final = 2000.0
"""Of processor time, from which a read counts as failed."""

HANG_SECONDS: Final = 120
"""Until a read is given up and its process ended."""

MAX_GROWTH_MIB: Final = 64.0
"""By which a process may have more memory at its end than after its first files."""

WARM_UP: Final = 1000
"""Files after which the memory is first looked at; a quarter of them where there are fewer than four times as many."""


def work(arguments: argparse.Namespace) -> None:
    """Read the files from one number to another in this process, with a line of JSON on each.

    A file lies in the folder while it is read, and stays there if it fails.
    """
    module, _, name = arguments.reader.partition(":")
    read = getattr(import_module(module), name)
    sources = make_sources()
    for number in range(*arguments.work):
        made = mutant(number, arguments.seed, sources)
        path = arguments.keep / f"{number}{made.suffix}"
        path.write_bytes(made.data)
        outcome, milliseconds, fault = judge(read, path)
        if milliseconds > arguments.slow_ms:
            fault = fault or f"took {milliseconds:.0f} ms"
        if not fault:
            path.unlink()
        line = {"number": number, "kind": made.kind, "outcome": outcome, "ms": milliseconds, "fault": fault}
        if (number + 1) % arguments.every == 0:
            line["mib"] = resident_mib()
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


def judge(read: Callable[[Path], object], path: Path) -> tuple[str, float, str]:
    """What became of reading a file, the milliseconds of processor time, and what is wrong with that if anything."""
    faulthandler.dump_traceback_later(HANG_SECONDS, exit=True)
    outcome, fault, started = "picture", "", time.process_time()
    try:
        read(path)
    except AnyirError as error:
        outcome = type(error).__name__
        if not str(error) or not str(error).isprintable():
            fault = f"{outcome}: not one line: {str(error)!r}"
    except Exception as error:  # whatever it is, it is what this tool is for
        outcome, fault = "not ours", f"{type(error).__name__}: {error}"
    milliseconds = 1000 * (time.process_time() - started)
    faulthandler.cancel_dump_traceback_later()
    return outcome, milliseconds, fault


def resident_mib() -> float | None:
    """This process's memory; None where the system does not say."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return None
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


@dataclass
class Findings:
    """What is known so far.

    Attributes:
        outcomes: kind → outcome → files.
        slowest: kind → number, milliseconds of processor time.
        faults: number → what is wrong.
        memory: of each process, MiB at every look.
        remarks: lines that libraries wrote to the error stream.
    """

    outcomes: dict[str, Counter[str]] = field(default_factory=dict)
    slowest: dict[str, tuple[int, float]] = field(default_factory=dict)
    faults: dict[int, str] = field(default_factory=dict)
    memory: list[list[float]] = field(default_factory=list)
    remarks: int = 0

    @property
    def growth_mib(self) -> float:
        """The most by which a process grew after its first files."""
        return max((looks[-1] - looks[0] for looks in self.memory if looks), default=0.0)

    def add(self, line: dict[str, Any]) -> None:
        """Take in what a process says of a file."""
        kind, number, ms = line["kind"], line["number"], line["ms"]
        self.outcomes.setdefault(kind, Counter())[line["outcome"]] += 1
        self.slowest[kind] = max(self.slowest.get(kind, (number, ms)), (number, ms), key=lambda each: each[1])
        if line["fault"]:
            self.faults[number] = line["fault"]
        if line.get("mib") is not None:
            self.memory[-1].append(line["mib"])


def fuzz(arguments: argparse.Namespace, keep: Path) -> Findings:
    """Read so many files, in one process after another: the next begins behind what the last one died of."""
    found, number, files, seed = Findings(), 0, arguments.files, arguments.seed
    shared = ["--seed", seed, "--keep", keep, "--reader", arguments.reader, "--slow-ms", arguments.slow_ms]
    every = min(WARM_UP, max(1, files // 4))
    while number < files:
        found.memory.append([])
        for line in _process(found, ["--work", number, files, "--every", every, *shared]):
            found.add(line)
            number = line["number"] + 1
            if number % WARM_UP == 0:
                sys.stderr.write(f"{number} of {files} read, {len(found.faults)} faults\n")
        if number < files:
            kind = mutant(number, seed, make_sources()).kind
            found.outcomes.setdefault(kind, Counter())["process died"] += 1
            number += 1
    return found


def _process(found: Findings, options: list[Any]) -> Generator[dict[str, Any]]:
    """The lines of a process, and what became of it as a fault where it did not come to its end."""
    command = [sys.executable, "-W", "error", __file__, *map(str, options)]
    number = int(options[1])
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process:
            for text in process.stdout or ():
                line = json.loads(text)
                number = line["number"] + 1
                yield line
        errors.seek(0)
        remarks = errors.read().splitlines()
        found.remarks += len(remarks)
        if process.returncode:
            last = next((each for each in reversed(remarks) if each.strip()), "nothing said")
            found.faults[number] = f"the process died with {process.returncode}: {last.strip()}"


def versions() -> dict[str, str]:
    """Of everything that looks at the bytes."""
    libraries = {
        name: features.version(name) for name in ("libjpeg_turbo", "zlib_ng", "libtiff", "webp", "avif")
    }
    own = {name: version(name) for name in ("anyir", "numpy", "pillow")}
    return {
        "python": platform.python_version(),
        **own,
        **{name: each for name, each in libraries.items() if each},
    }


def to_json(found: Findings, files: int, seed: int, command: str) -> dict[str, Any]:
    """The result, in plain values."""
    slowest = max(found.slowest.items(), key=lambda each: each[1][1], default=("", (0, 0.0)))
    total: Counter[str] = sum(found.outcomes.values(), Counter())
    return {
        "anyir_fuzz": 1,
        "command": command,
        "seed": seed,
        "files": files,
        "versions": versions(),
        "outcomes": dict(total.most_common()),
        "faults": {str(number): fault for number, fault in sorted(found.faults.items())},
        "slowest": {"kind": slowest[0], "number": slowest[1][0], "ms": round(slowest[1][1], 1)},
        "memory_mib": [[round(look, 1) for look in looks] for looks in found.memory],
        "memory_growth_mib": round(found.growth_mib, 1),
        "lines_on_stderr": found.remarks,
        "kinds": {
            kind: {"outcomes": dict(counts.most_common()), "slowest_ms": round(found.slowest[kind][1], 1)}
            for kind, counts in sorted(found.outcomes.items())
            if kind in found.slowest
        },
        "ways": list(WAYS),
    }


def markdown(result: dict[str, Any]) -> str:
    """The table, and what it was measured with."""
    names = list(result["outcomes"])
    lines = ["# Mutated files", "", f"| kind | files | {' | '.join(names)} | slowest, ms |"]
    lines.append("|---|" + "---:|" * (len(names) + 2))
    for kind, each in result["kinds"].items():
        counts = [each["outcomes"].get(name, 0) for name in names]
        cells = (sum(counts), *counts, f"{each['slowest_ms']:.0f}")
        lines.append(f"| {kind} | {' | '.join(map(str, cells))} |")
    counts = [result["outcomes"][name] for name in names]
    lines.append(f"| all | {' | '.join(map(str, (sum(counts), *counts)))} | {result['slowest']['ms']:.0f} |")
    lines += ["", f"Damaged by: {', '.join(result['ways'])}. The times are of processor time.", ""]
    lines += [f"- faults: {len(result['faults'])}", f"- memory growth: {result['memory_growth_mib']} MiB"]
    lines += [f"- lines of libraries on stderr: {result['lines_on_stderr']}", f"- seed: {result['seed']}"]
    lines += [f"- {name}: {each}" for name, each in result["versions"].items()]
    lines += ["", "```sh", result["command"], "```", ""]
    return "\n".join(lines)


def parse(given: list[str]) -> argparse.Namespace:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--keep", type=Path, help="folder for files that failed; a temporary one if not given"
    )
    parser.add_argument(
        "--reader", default="anyir.picture:read", help="MODULE:FUNCTION that reads (%(default)s)"
    )
    parser.add_argument(
        "--slow-ms", type=float, default=SLOW_MS, help="of processor time a read (%(default)s)"
    )
    parser.add_argument("-o", "--output", type=Path, help="folder for fuzz.json and fuzz.md")
    parser.add_argument("--work", type=int, nargs=2, help=argparse.SUPPRESS)  # this is one of the processes
    parser.add_argument("--every", type=int, help=argparse.SUPPRESS)
    return parser.parse_args(given)


def main(given: list[str]) -> None:
    """Exits with 1 where something failed."""
    arguments = parse(given)
    if arguments.work is not None:
        work(arguments)
        return
    keep = arguments.keep or Path(tempfile.mkdtemp(prefix="anyir-fuzz-"))
    try:
        make_folder(keep)
        found = fuzz(arguments, keep)
        command = shlex.join(("python", "tools/fuzz_read.py", *given))
        result = to_json(found, arguments.files, arguments.seed, command)
        if arguments.output is not None:
            make_folder(arguments.output)
            content = json.dumps(result, indent=1, ensure_ascii=False) + "\n"
            write_atomically(arguments.output / "fuzz.json", content.encode())
            write_atomically(arguments.output / "fuzz.md", markdown(result).encode())
    except AnyirError as error:
        sys.exit(f"fuzz_read: {error}")
    sys.stdout.write(markdown(result))
    for number, fault in result["faults"].items():
        sys.stdout.write(f"{number}: {fault}\n")
    grown = found.growth_mib > MAX_GROWTH_MIB
    if result["faults"] or grown:
        sys.exit(f"fuzz_read: {'memory grew; ' if grown else ''}{len(result['faults'])} faults; see {keep}")


if __name__ == "__main__":
    main(sys.argv[1:])
