"""The fields of a JSON object, taken one by one; each fault names the field and what was expected."""

from __future__ import annotations

import json
import re
from typing import Any

from homeport.errors import ConfigError

_TEXT_MAX = 80
_SHOWN_MAX = 40
_HEX = re.compile(r"0x[0-9a-f]{1,8}")


class Fields:
    """One JSON object. Every method takes a field away; `end` refuses what is left. All raise ConfigError."""

    def __init__(self, document: Any, prefix: str = "") -> None:
        if not isinstance(document, dict):
            raise ConfigError(f"{f'field {prefix[:-1]!r}' if prefix else 'the file'}: expected a JSON object")
        self.left = dict(document)
        self._prefix = prefix

    @staticmethod
    def of_json(data: bytes) -> Fields:
        """The fields of a JSON text."""
        try:
            return Fields(json.loads(data))
        except (ValueError, RecursionError):
            raise ConfigError("not JSON") from None

    def text(self, name: str, pattern: str = ".+") -> str:
        """A text of printable characters that fits the pattern."""
        value = self._take(name)
        if not isinstance(value, str) or len(value) > _TEXT_MAX or not value.isprintable():
            raise self.wrong(name, f"text of at most {_TEXT_MAX} printable characters", value)
        if not re.fullmatch(pattern, value):
            raise self.wrong(name, f"text that fits {pattern}", value)
        return value

    def one_of(self, name: str, values: tuple[str, ...]) -> str:
        """One of these texts."""
        value = self._take(name)
        if not isinstance(value, str) or value not in values:
            raise self.wrong(name, f"one of {', '.join(values)}", value)
        return value

    def number(self, name: str, least: int, most: int) -> int:
        """A whole number in these bounds."""
        value = self._take(name)
        if type(value) is not int or not least <= value <= most:
            raise self.wrong(name, f"a number from {least} to {most}", value)
        return value

    def hex(self, name: str) -> int:
        """A number below 2**32, as hex text."""
        value = self._take(name)
        if not isinstance(value, str) or not _HEX.fullmatch(value):
            raise self.wrong(name, 'a hex text such as "0x1000"', value)
        return int(value, 16)

    def inner(self, name: str) -> Fields:
        """The fields of an object in this one."""
        return Fields(self._take(name), f"{self._prefix}{name}.")

    def inners(self, name: str) -> list[Fields]:
        """The fields of each object in a list."""
        value = self._take(name)
        if not isinstance(value, list):
            raise self.wrong(name, "a list of objects", value)
        return [Fields(element, f"{self._prefix}{name}.") for element in value]

    def end(self) -> None:
        """There are no others."""
        if self.left:
            raise ConfigError(f"unknown field {(self._prefix + min(self.left))[:_SHOWN_MAX]!r}")

    def wrong(self, name: str, expected: str, value: Any) -> ConfigError:
        """The error of a field that is something else."""
        return ConfigError(f"field '{self._prefix}{name}': expected {expected}, got {str(value)[:_SHOWN_MAX]!r}")

    def _take(self, name: str) -> Any:
        if name not in self.left:
            raise ConfigError(f"field '{self._prefix}{name}' is missing")
        return self.left.pop(name)
