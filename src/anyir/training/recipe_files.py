"""The TOML files of recipes, and recipes that build on others.

A file's ``base`` names the recipe that it builds on: one of the package, or a ``.toml`` file, from the file's own
folder. What the file says is laid over what its base says, table by table and key by key; all else, lists included, is
replaced whole. Keys of the base that are not to be inherited are named in ``without``, with dots between tables::

    base = "three-degradations"
    without = ["epochs", "repeats"]
    steps = 100000

    [mixture]
    derain = 1.0

So an empty table changes nothing, and one that is named in ``without`` and given anew is replaced. A base may have a
base of its own, and need not be a whole recipe.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, cast

from anyir.errors import ConfigurationError
from anyir.settings import nearest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # the same library, before it joined the language

SHIPPED: Final = Path(str(files("anyir"))) / "recipes"

FILE_KEYS: Final = ("base", "without")
"""Keys that say how a file is read: once it is, they are gone."""


def shipped_recipes() -> tuple[str, ...]:
    """Names of the recipes inside the package, sorted."""
    return tuple(sorted(path.stem for path in SHIPPED.glob("*.toml")))


def read_recipe(name_or_file: str) -> dict[str, Any]:
    """The keys and values of a recipe, with those of the recipes that it builds on.

    Args:
        name_or_file: a name of :func:`shipped_recipes`, or a path that ends in ``.toml``.

    Raises:
        ConfigurationError: there is no such recipe or no such base, or one cannot be read; a recipe builds on itself;
            ``base`` or ``without`` has a wrong type, or a key in ``without`` is not the base's. The message names the
            file.
    """
    if not name_or_file.endswith(".toml") and name_or_file not in shipped_recipes():
        raise ConfigurationError(
            f"no recipe {name_or_file!r}: give a .toml file or one of {', '.join(shipped_recipes())}"
        )
    return _resolve(_locate(name_or_file, Path()), ())


def _locate(name_or_file: str, folder: Path) -> Path:
    """A file's path, from ``folder`` where it is relative, or that of a recipe of the package."""
    return folder / name_or_file if name_or_file.endswith(".toml") else SHIPPED / f"{name_or_file}.toml"


def _resolve(file: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    """What a file says, laid over its base; ``above`` are the files that build on this one."""
    values = _read(file)
    without = _take_without(values, file)
    if "base" not in values:
        return values
    below = _base_of(values.pop("base"), file)
    chain = (*above, file.resolve())
    if below.resolve() in chain:
        raise ConfigurationError(f"{_shown(file)}: builds on itself, by way of its base {_shown(below)}")
    inherited = _resolve(below, chain)
    for key in without:
        _drop(inherited, key, file)
    return _lay_over(inherited, values)


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{_shown(file)}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{_shown(file)}: not TOML: {error}") from error


def _base_of(base: object, file: Path) -> Path:
    """The file that ``base`` names in ``file``."""
    if not isinstance(base, str):
        raise ConfigurationError(
            f"{_shown(file)}: base = {base!r}: must be a string: the name of a recipe, or a .toml file"
        )
    path = _locate(base, file.parent)
    if base.endswith(".toml"):
        there, known = path.is_file(), [each.name for each in sorted(path.parent.glob("*.toml"))]
    else:
        known = shipped_recipes()
        there = base in known
    if not there:
        raise ConfigurationError(f"{_shown(file)}: base = {base!r}: no such recipe{nearest(base, known)}")
    return path


def _take_without(values: dict[str, Any], file: Path) -> list[str]:
    """Take the key ``without`` out of a file's values."""
    without: object = values.pop("without", [])
    if not isinstance(without, list) or not all(isinstance(key, str) for key in cast("list[Any]", without)):
        raise ConfigurationError(
            f'{_shown(file)}: without = {without!r}: must be a list of keys of the base, as in ["repeats"]'
        )
    if without and "base" not in values:
        raise ConfigurationError(f"{_shown(file)}: without = {without!r}: only a recipe with a base has it")
    return cast("list[str]", without)


def _drop(values: dict[str, Any], key: str, file: Path) -> None:
    """Take a key, or with dots one of an inner table, out of ``values``, in place."""
    *tables, last = key.split(".")
    table = values
    for name in tables:
        inner = table.get(name)
        table = cast("dict[str, Any]", inner) if isinstance(inner, dict) else {}
    if last not in table:
        raise ConfigurationError(
            f"{_shown(file)}: without {key!r}: its base has no such key{nearest(key, _keys(values))}"
        )
    del table[last]


def _keys(values: Mapping[str, Any], before: str = "") -> Iterable[str]:
    """The keys of nested tables, with dots between."""
    for key, value in values.items():
        yield before + key
        if isinstance(value, dict):
            yield from _keys(cast("dict[str, Any]", value), f"{before}{key}.")


def _lay_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Tables key by key, those of ``below`` first; all else is replaced."""
    both = dict(below)
    for key, value in above.items():
        inherited = both.get(key)
        if isinstance(inherited, dict) and isinstance(value, dict):
            value = _lay_over(cast("dict[str, Any]", inherited), cast("dict[str, Any]", value))
        both[key] = value
    return both


def _shown(file: Path) -> str:
    """What messages call a file."""
    return f"recipe {file.stem}" if file.parent == SHIPPED else str(file)
