"""Optional parts of anyir: a clear word where one is missing."""

from __future__ import annotations

from importlib.util import find_spec

from anyir.errors import MissingExtra


def require_extra(extra: str, modules: tuple[str, ...], command: str) -> None:
    """Check that the modules which ``command`` needs can be imported.

    Raises:
        MissingExtra: names the modules that are absent and the pip command that installs them.
    """
    absent = [module for module in modules if find_spec(module) is None]
    if absent:
        raise MissingExtra(
            f"'anyir {command}' needs {', '.join(absent)}, which the base install leaves out; "
            f"install it with: pip install 'anyir[{extra}]'"
        )
