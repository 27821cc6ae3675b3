"""The command line. Commands live in modules of their own; errors become one line and an exit code here.

Only light imports at the top of this module and of the command modules: ``anyir --help`` must answer at once.
"""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any, Final

import typer

from anyir._version import __version__
from anyir.apps.ablation import ablation
from anyir.apps.benchmark import benchmark
from anyir.apps.compare import compare
from anyir.apps.console import INTERRUPTED, Interrupted, complain
from anyir.apps.data import data
from anyir.apps.degrade import degrade
from anyir.apps.evaluate import evaluate
from anyir.apps.export import export
from anyir.apps.info import info
from anyir.apps.restore import restore
from anyir.apps.train import train
from anyir.errors import AnyirError, reason

_CommandLineError: Final[Any] = typer.BadParameter.__mro__[2]
"""What typer raises for a command line it cannot parse: ``click.ClickException`` in some versions, private in
others, and in all of them the grandparent of a public class."""

app = typer.Typer(
    name="anyir",
    add_completion=False,
    rich_markup_mode=None,  # with it, half the time of `anyir --help` would go into importing rich
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
for _command in (restore, compare, info, degrade, train, ablation, evaluate, benchmark, export):
    app.command()(_command)
app.add_typer(data)


def _print_version(value: bool) -> None:
    if value:
        print(f"anyir {__version__}")
        raise typer.Exit


@app.callback()
def _anyir(  # pyright: ignore[reportUnusedFunction]
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Repair photographs: noise, rain, haze, blur, darkness. One model, no choice of task."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 some failed, 2 usage or configuration, 130 interrupted."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (
        sys.stdout,
        sys.stderr,
    ):  # a pipe may know fewer letters than a picture's name, or than we print
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _run(given or ["--help"])
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output has gone; Python would complain again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except SystemExit as stop:  # Click's own answer to a broken pipe
        code = stop.code if isinstance(stop.code, int) else 1
    except Exception:
        if not _computing():
            raise
        with suppress(OSError):  # as where standard error is what failed
            traceback.print_exc()
        code = 1
    if (
        code and _computing()
    ):  # a network is at work in a thread: Python's own end would wait for it, or crash
        with suppress(OSError):
            sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _computing() -> bool:
    """Whether a network is still at work; other threads are their owners' business."""
    pipeline = sys.modules.get("anyir.inference.pipeline")  # not to be loaded for the question's sake
    return pipeline is not None and pipeline.at_work()


def _run(arguments: list[str]) -> int:
    """Run one command; the exit code.

    Not in typer's standalone mode, which would turn Ctrl-C into exit code 1 and draw a box around a message.
    """
    try:
        code = app(args=arguments, prog_name="anyir", standalone_mode=False)
    except AnyirError as error:
        complain(error)
        return error.exit_code
    except _CommandLineError as error:
        command = getattr(getattr(error, "ctx", None), "command_path", "anyir")
        message = " ".join(error.format_message().split()).rstrip(".")
        complain(f"{message}; see: {command} --help")
        return error.exit_code
    except OSError as error:  # where the system refuses a file that no room foresaw, it says which and why
        if isinstance(error, BrokenPipeError):
            raise
        complain(
            f"{error.filename}: {error.strerror}" if error.filename and error.strerror else reason(error)
        )
        return AnyirError.exit_code
    except Interrupted as interruption:
        complain(interruption)
        return INTERRUPTED
    except (KeyboardInterrupt, typer.Abort):
        complain("interrupted")
        return INTERRUPTED
    if code == INTERRUPTED:  # how newer versions of typer say it
        complain("interrupted")
    return code if isinstance(code, int) else 0


if __name__ == "__main__":
    main()
