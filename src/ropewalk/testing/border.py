"""The border between the engine and the program: which methods were called across it, and with which arguments.

The engine is ropewalk.core, transports, internet, pollers and hosts; the program is all else. What the engine calls
within itself crosses no border, nor does what a program calls on objects of its own. The interpreter's profiler reports
every call of a function that is written in Python, whoever defined it, so nothing has to be wrapped.
"""

from __future__ import annotations

import contextlib
import inspect
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from types import FrameType, TracebackType
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

_ENGINE = tuple(f"ropewalk.{room}." for room in ("core", "transports", "internet", "pollers", "hosts"))
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Row(NamedTuple):
    """One thing that can be used: a method or attribute of an interface (argument: ''), or an argument of a method.

    asked: whether the program has the interface and the engine calls it; of: what kind of object has it.
    """

    asked: bool
    interface: str
    of: str
    member: str
    argument: str


class Part:
    """One interface, as one kind of object has it.

    interface, of: the names of both; asked: whether the program has it and the engine calls it; members: its methods
    and attributes by name, each with the function that has the signature to use (None: an attribute); has: whether an
    object is of that kind.
    """

    def __init__(
        self,
        interface: str,
        of: str,
        asked: bool,
        members: Mapping[str, Callable[..., Any] | None],
        has: Callable[[Any], bool],
    ) -> None:
        self.interface = interface
        self.of = of
        self.asked = asked
        self.has = has
        self.members = {name: _parameters(function) for name, function in members.items()}

    def rows(self) -> Iterator[Row]:
        """All that there is to use. Optional arguments of the program's methods are the engine's to pass or not."""
        for member, parameters in self.members.items():
            yield self.row(member)
            for name, parameter in parameters.items():
                if name != "self" and not (self.asked and parameter.default is not parameter.empty):
                    yield self.row(member, name)

    def row(self, member: str, argument: str = "") -> Row:
        """The row of `member`, or of an argument of it."""
        return Row(self.asked, self.interface, self.of, member, argument)


def _parameters(function: Callable[..., Any] | None) -> dict[str, inspect.Parameter]:
    return {} if function is None else dict(inspect.signature(function).parameters)


class Watch:
    """A context manager that keeps in `used` what crosses the border meanwhile.

    parts: what to look at; attributes: (class, name) of the engine's attributes that are no properties. Threads that
    were started before are not seen.
    """

    def __init__(self, parts: list[Part], attributes: list[tuple[type, str]]) -> None:
        self.used: set[Row] = set()
        self._attributes = attributes
        self._parts: dict[str, list[Part]] = {}
        for part in parts:
            for member in part.members:
                self._parts.setdefault(member, []).append(part)

    def __enter__(self) -> Watch:
        for cls, name in self._attributes:
            setattr(cls, name, _Attribute(name, self._read))
        threading.setprofile(self._event)
        sys.setprofile(self._event)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        sys.setprofile(None)
        threading.setprofile(None)
        for cls, name in self._attributes:
            delattr(cls, name)

    def _event(self, frame: FrameType, event: str, argument: object) -> None:
        if event != "call":
            return
        parts = self._parts.get(frame.f_code.co_name)
        if parts is not None:
            self._called(frame, parts)

    def _called(self, frame: FrameType, parts: list[Part]) -> None:
        member = frame.f_code.co_name
        names, varargs, keywords, values = inspect.getargvalues(frame)
        thing = values.get(names[0]) if names else None
        for part in _across(frame.f_back, thing, parts):
            self.used.add(part.row(member))
            for index, parameter in enumerate(part.members[member].values()):
                if parameter.kind in _POSITIONAL:   # a program may call it something else
                    name = names[index] if index < len(names) else None
                elif parameter.kind is parameter.VAR_POSITIONAL:
                    name = varargs
                else:
                    name = keywords if parameter.kind is parameter.VAR_KEYWORD else parameter.name
                if name is not None and parameter.name != "self" and _is_given(parameter, values.get(name)):
                    self.used.add(part.row(member, parameter.name))

    def _read(self, thing: object, name: str, reader: FrameType) -> None:
        for part in _across(reader, thing, self._parts[name]):
            self.used.add(part.row(name))


class _Attribute:
    """Stands in for an attribute that objects keep in their __dict__, and tells who reads it."""

    def __init__(self, name: str, read: Callable[[object, str, FrameType], None]) -> None:
        self._name = name
        self._read = read

    def __get__(self, thing: Any, owner: type) -> Any:
        if thing is None:
            return self
        self._read(thing, self._name, sys._getframe(1))
        with contextlib.suppress(KeyError):
            return thing.__dict__[self._name]
        raise AttributeError(f"{thing!r} has no {self._name} yet")

    def __set__(self, thing: Any, value: Any) -> None:
        thing.__dict__[self._name] = value


def _across(caller: FrameType | None, thing: object, parts: list[Part]) -> Iterator[Part]:
    """Those of `parts` that the call of a method of `thing` crosses the border for."""
    from_engine = caller is not None and in_engine(caller.f_globals.get("__name__", ""))
    for part in parts:
        if part.asked is from_engine and part.has(thing):
            yield part


def _is_given(parameter: inspect.Parameter, value: Any) -> bool:
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        return bool(value)
    return parameter.default is parameter.empty or (value is not parameter.default and value != parameter.default)


def in_engine(module: str) -> bool:
    """Whether the module of that name is a part of the engine."""
    return module.startswith(_ENGINE)


def programs_own(
    is_one: Callable[[Any], bool], methods: Mapping[str, Callable[..., Any]]
) -> Callable[[Any], bool]:
    """Tells whether an object is of a class of the program's and has an interface; asked once a class.

    is_one: whether an object looks so; methods: those of the interface, with the signatures that the object's must fit:
    IHalfCloseableProtocol differs from IHalfCloseableDescriptor in an argument alone.
    """
    known: WeakKeyDictionary[type, bool] = WeakKeyDictionary()

    def has(thing: Any) -> bool:
        cls = type(thing)
        if cls not in known:
            known[cls] = (
                not in_engine(cls.__module__)
                and is_one(thing)
                and all(hasattr(cls, name) and _fits(getattr(cls, name), method) for name, method in methods.items())
            )
        return known[cls]

    return has


def _fits(function: Callable[..., Any], declared: Callable[..., Any]) -> bool:
    """Whether `function` takes the positional arguments of `declared`."""
    parameters = inspect.signature(declared).parameters.values()
    try:
        inspect.signature(function).bind(*(one.name for one in parameters if one.kind in _POSITIONAL))
    except TypeError:
        return False
    return True
