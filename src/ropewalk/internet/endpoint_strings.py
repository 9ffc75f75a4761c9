"""The grammar of endpoint strings: kind:argument:key=argument, and what a parser asks of the arguments.

A ':' ends an argument, the first '=' in it ends its key, a backslash takes the meaning from the character after it.
Every fault is a ValueError that names the string and the place in it, counted from 0.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

INT_MAX = 2**31 - 1   # what listen(2) takes, and descriptors are


def quoteStringArgument(argument: str) -> str:
    """`argument` so that it stands for itself in an endpoint string, whatever characters it has.

    Unlike Twisted's, it quotes '=' too, which would else make a positional argument one with a key.
    """
    return re.sub(r"([\\:=])", r"\\\1", argument)


class Argument(NamedTuple):
    """One argument of an endpoint string. start, at: where it begins, and where its value does; key: None without one.
    """

    start: int
    at: int
    key: str | None
    value: str


class Description:
    """An endpoint string, taken apart.

    text: the string, for errors; kind: the argument that names the kind; arguments: the others.
    """

    def __init__(self, text: str, arguments: Sequence[Argument]) -> None:
        self.text = text
        self.kind, *self.arguments = arguments

    @classmethod
    def of(cls, text: str) -> Description:
        """Take `text` apart. Raises ValueError, or TypeError for what is no text."""
        if not isinstance(text, str):
            raise TypeError(f"an endpoint is described by a str, not by {text!r}")
        return cls(text, _split(text))

    def inner(self) -> Description:
        """The endpoint that the arguments describe: of a:b:c, b:c. Raises ValueError if there is none."""
        if not self.arguments:
            raise self.fault(len(self.text), f"{self.kind.value} is to be followed by another endpoint")
        return Description(self.text, self.arguments)

    def with_kind(self, kind: str) -> Description:
        """The endpoint of that kind with all of this as its arguments: of b:c, kind:b:c."""
        start = self.kind.start
        text = f"{self.text[:start]}{kind}:{self.text[start:]}"
        return Description(text, [Argument(start, start, None, kind), self.kind, *self.arguments])

    def fault(self, at: int, why: str) -> ValueError:
        """The error for a fault at the position `at`."""
        return _fault(self.text, at, why)

    def bind(self, *names: str) -> Values:
        """The values of the arguments `names`; one without a key takes the first name that is not taken yet."""
        values: dict[str, Argument] = {}
        for argument in self.arguments:
            name = argument.key
            if name is None:
                name = next((free for free in names if free not in values), None)
            if name is None:
                raise self.fault(argument.at, "one argument too many (a ':' that belongs to a value is written '\\:')")
            if name not in names:
                raise self.fault(argument.start, f"there is no argument {name!r}, but {', '.join(names)}")
            if name in values:
                raise self.fault(argument.start, f"{name} is given twice")
            values[name] = argument
        return Values(self, values)

    def sorted_out(self) -> tuple[list[str], dict[str, str]]:
        """The values of the arguments that have no key, in order, and those of the others by key."""
        keyed: dict[str, str] = {}
        for argument in self.arguments:
            if argument.key in keyed:
                raise self.fault(argument.start, f"{argument.key} is given twice")
            if argument.key is not None:
                keyed[argument.key] = argument.value
        return [argument.value for argument in self.arguments if argument.key is None], keyed


def _split(text: str) -> list[Argument]:
    arguments = []
    start, at, key, value = 0, 0, None, ""
    characters = iter(enumerate(text))
    for index, character in characters:
        if character == "\\":
            _, character = next(characters, (index, ""))
            if not character:
                raise _fault(text, index, "a backslash quotes the character after it, and there is none")
            value += character
        elif character == ":":
            arguments.append(Argument(start, at, key, value))
            start, at, key, value = index + 1, index + 1, None, ""
        elif character == "=" and key is None:
            at, key, value = index + 1, value, ""
        else:
            value += character
    return [*arguments, Argument(start, at, key, value)]


def _fault(text: str, at: int, why: str) -> ValueError:
    return ValueError(f"{text}: position {at}: {why}")


class Values:
    """The values of a description's arguments by name; every method raises ValueError for one that is not right."""

    def __init__(self, description: Description, arguments: Mapping[str, Argument]) -> None:
        self._description = description
        self._arguments = arguments

    def __contains__(self, name: str) -> bool:
        return name in self._arguments

    def text(self, name: str, default: str | None = None) -> str:
        """The text of `name`; `default` if it is not given, which is a fault without one."""
        argument = self._arguments.get(name)
        if argument is not None:
            return argument.value
        if default is None:
            raise self.missing(name)
        return default

    def filled(self, name: str, wanted: str) -> str:
        """The text of `name`, which is to be `wanted` and must not be empty."""
        text = self.text(name)
        if not text:
            raise self.wrong(name, wanted)
        return text

    def number(self, name: str, lowest: int, highest: int, default: int | None = None) -> int:
        """The number of `name`, from `lowest` to `highest`; `default` as for text()."""
        text = self.text(name, None if default is None else str(default))
        if re.fullmatch("[0-9]{1,20}", text) and lowest <= int(text) <= highest:
            return int(text)
        raise self.wrong(name, f"a number from {lowest} to {highest}")

    def seconds(self, name: str, default: float) -> float:
        """The seconds of `name`, decimals allowed."""
        text = self.text(name, str(default))
        if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text):
            return float(text)
        raise self.wrong(name, "a number of seconds")

    def backlog(self) -> int:
        """How many connections the system is to keep waiting."""
        return self.number("backlog", 0, INT_MAX, 50)

    def mode(self, name: str, default: int) -> int:
        """The permissions of `name`, octal digits as chmod takes them."""
        text = self.text(name, f"{default:o}")
        if re.fullmatch("[0-7]{1,4}", text):
            return int(text, 8)
        raise self.wrong(name, "permissions in octal digits, such as 660")

    def switch(self, name: str, default: bool) -> bool:
        """Whether `name` is on: 1 or 0."""
        text = self.text(name, str(int(default)))
        if text in ("0", "1"):
            return text == "1"
        raise self.wrong(name, "1 or 0")

    def missing(self, wanted: str) -> ValueError:
        """The error for a lack of `wanted`."""
        return self._description.fault(len(self._description.text), f"{wanted} is missing")

    def wrong(self, name: str, wanted: str) -> ValueError:
        """The error for the value of `name`, which ought to be `wanted`."""
        return self.fault(name, f"{name} is to be {wanted}, not {self._arguments[name].value!r}")

    def fault(self, name: str, why: str) -> ValueError:
        """The error for the value of `name`, which is given."""
        return self._description.fault(self._arguments[name].at, why)
