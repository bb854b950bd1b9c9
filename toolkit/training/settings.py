"""Tables of a TOML file -> frozen dataclasses, every key and value checked.

A field's type hint says what is allowed: bool, int, float, str, tuple[T, T] (exactly two), tuple[T, ...] or another
dataclass. Its metadata narrows that: {"range": (least, most)} for numbers, {"choices": (...)} for text.
"""

from __future__ import annotations

import dataclasses
import json
import math
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from derm_sdk.errors import closest

from ..errors import ConfigError

T = TypeVar("T")
_KINDS: dict[type, str] = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def read_settings(cls: type[T], table: object, where: str = "", base: T | None = None) -> T:
    """Builds a dataclass from a table.

    Args:
        cls: a frozen dataclass.
        table: what the TOML file holds there.
        where: the table's own key, for messages; "" at the top.
        base: where keys left out come from; None takes the dataclass's defaults.
    Raises:
        ConfigError: no table, an unknown key (the one meant is named), a key missing, or a value of the wrong type or range.
    """
    if not isinstance(table, Mapping):
        raise ConfigError(f"{where or 'A config'} must be a table of keys; got {table!r}.")
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(typing.cast(Any, cls))}
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in fields:
            raise ConfigError(f"Unknown key {_join(where, key)!r} in the config." + closest(key, fields))
        nested = getattr(base, key, None) if base is not None else _default(fields[key])
        values[key] = _value(value, hints[key], fields[key].metadata, _join(where, key), nested)
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in values and base is None:
            raise ConfigError(f"The config lacks the key {_join(where, name)!r}.")
    try:
        return cls(**values) if base is None else dataclasses.replace(typing.cast(Any, base), **values)
    except ValueError as error:
        raise ConfigError(f"{where or 'The config'}: {error}.") from error


def to_table(settings: Any) -> dict[str, Any]:
    """The opposite of `read_settings`: plain tables, lists and values, all defaults written out."""
    table: dict[str, Any] = dataclasses.asdict(settings, dict_factory=lambda pairs: {k: _plain(v) for k, v in pairs})
    return table


def to_toml(table: Mapping[str, Any], where: str = "") -> str:
    """Writes tables of numbers, truths, texts and lists of these as TOML; values come before sub-tables."""
    values = "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items() if not isinstance(value, Mapping))
    parts = [f"[{where}]\n{values}" if where and values else values]
    parts += [to_toml(value, _join(where, key)) for key, value in table.items() if isinstance(value, Mapping)]
    return "\n".join(part for part in parts if part)


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default_factory() if field.default_factory is not dataclasses.MISSING else None


def _value(value: object, hint: Any, limits: Mapping[str, Any], key: str, base: Any) -> Any:
    if hint is Any:
        return value
    if dataclasses.is_dataclass(hint):
        return read_settings(typing.cast(Any, hint), value, key, base)
    if typing.get_origin(hint) is tuple:
        return _tuple(value, typing.get_args(hint), limits, key)
    return _scalar(value, hint, limits, key)


def _tuple(value: object, kinds: tuple[Any, ...], limits: Mapping[str, Any], key: str) -> tuple[Any, ...]:
    pair = kinds[-1] is not Ellipsis
    if not isinstance(value, (list, tuple)) or (pair and len(value) != len(kinds)):
        raise ConfigError(f"{key} must be a list of {'two values' if pair else 'values'}; got {value!r}.")
    values = tuple(_scalar(each, kinds[0], limits, key) for each in value)
    if pair and values[0] > values[1]:
        raise ConfigError(f"{key} must name the smaller number first; got {list(values)}.")
    return values


def _scalar(value: object, kind: type, limits: Mapping[str, Any], key: str) -> Any:
    if isinstance(value, int) and abs(value) >= 1 << 64:
        raise ConfigError(f"{key} must be a number of a usual size; got one of {value.bit_length()} bits.")
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ConfigError(f"{key} must be {_KINDS[kind]}; got {value!r}.")
    if "choices" in limits and value not in limits["choices"]:
        raise ConfigError(f"{key} cannot be {value!r}." + closest(value, limits["choices"]))
    if "range" in limits:
        least, most = limits["range"]
        number = typing.cast(float, value)
        if not (math.isfinite(number) and least <= number <= most):
            raise ConfigError(f"{key} must be from {least} to {most}; got {value!r}.")
    return value


def _plain(value: Any) -> Any:
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key
