"""Frozen dataclasses from plain values (JSON, TOML), where every typo is an error that names the key."""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from anyir.errors import ConfigurationError

T = TypeVar("T")


def from_mapping(kind: type[T], values: Mapping[str, Any], where: str) -> T:
    """Make a dataclass from a mapping with its fields' names, nested dataclasses from nested mappings.

    Fields may be of type bool, int, float, str, ``Literal``, ``X | None``, ``tuple[X, ...]``, ``tuple[X, Y]``,
    ``Mapping[str, X]``, or such a dataclass. A whole number passes for a float; nothing else is converted.

    Args:
        kind: the dataclass.
        values: what to fill it with; fields that are absent take their defaults.
        where: what the values are, for messages: "recipe", "network".

    Raises:
        ConfigurationError: an unknown key (the nearest known one is named), a missing key, a wrong type; and whatever
            the dataclass itself raises for an impossible value.
    """
    fields = {field.name: field for field in dataclasses.fields(cast(Any, kind))}
    for key in values:
        if key not in fields:
            raise ConfigurationError(f"{where}: unknown key {key!r}{nearest(key, fields)}")
    hints = typing.get_type_hints(kind)
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in values:
            raise ConfigurationError(f"{where}: the key {name!r} is missing")
    return kind(**{key: _convert(hints[key], value, f"{where} {key}") for key, value in values.items()})


def to_mapping(settings: object) -> dict[str, Any]:
    """A dataclass as plain JSON values, from which :func:`from_mapping` makes it again."""
    return {
        field.name: _plain(getattr(settings, field.name)) for field in dataclasses.fields(cast(Any, settings))
    }


def nearest(key: str, known: typing.Iterable[str]) -> str:
    """``; did you mean 'X'?`` where a known key is close, else ``; known: ...``."""
    known = list(known)
    close = difflib.get_close_matches(key, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(known)}"


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return to_mapping(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in cast(Mapping[str, Any], value).items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in cast(tuple[Any, ...], value)]
    return value


def _convert(hint: Any, value: Any, where: str) -> Any:
    """``value`` as the type that ``hint`` asks for."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        (hint,) = (argument for argument in arguments if argument is not type(None))
        return _convert(hint, value, where)
    if origin is typing.Literal:
        if value not in arguments:
            raise ConfigurationError(f"{where} = {value!r}: must be one of {', '.join(map(repr, arguments))}")
        return value
    if origin is tuple and isinstance(value, (list, tuple)):
        return _convert_tuple(arguments, cast("list[Any]", value), where)
    if isinstance(origin, type) and issubclass(origin, Mapping) and isinstance(value, Mapping):
        items = cast(Mapping[str, Any], value).items()
        return {key: _convert(arguments[1], item, f"{where}.{key}") for key, item in items}
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return from_mapping(cast("type[Any]", hint), cast(Mapping[str, Any], value), where)
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is hint:  # exactly: True is no number here
        return value
    raise ConfigurationError(f"{where} = {value!r}: must be {_name(hint)}")


def _convert_tuple(arguments: tuple[Any, ...], values: list[Any], where: str) -> tuple[Any, ...]:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        arguments = (arguments[0],) * len(values)
    if len(arguments) != len(values):
        raise ConfigurationError(f"{where} = {list(values)!r}: must have {len(arguments)} values")
    return tuple(
        _convert(hint, value, f"{where}[{number}]")
        for number, (hint, value) in enumerate(zip(arguments, values, strict=True))
    )


def _name(hint: Any) -> str:
    plain = {int: "a whole number", float: "a number", bool: "true or false", str: "a string"}
    if hint in plain:
        return plain[hint]
    return "a list" if typing.get_origin(hint) is tuple else "a table of keys and values"
