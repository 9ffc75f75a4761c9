"""Failure: an exception that can be handed around, asked about, and raised again later.

An exception carries its traceback in `__traceback__`, but Python makes that longer each time the exception
is raised again. A Failure therefore remembers the traceback it found, and raises with that one.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from types import TracebackType
    from typing import TextIO

__all__ = ["Failure", "NoCurrentExceptionError"]

E = TypeVar("E", bound=BaseException, covariant=True)
X = TypeVar("X", bound=BaseException)
Y = TypeVar("Y")


class NoCurrentExceptionError(Exception):
    """Raised by `Failure()` when no exception is being handled."""


class Outcome:
    """What a callback returns when it is not simply a result: a Failure or a Deferred.

    One base, because one isinstance() is half the price of two, and every result of every callback is asked.
    """

    __slots__ = ()


class Failure(Outcome, Generic[E]):
    """An exception with the traceback it had; the behaviour is that of Twisted's documented Failure.

    It is not itself an exception: `raiseException()` raises the one it holds. It pickles when that exception
    does; the traceback then travels as text.

    Attributes: `value`, the exception; `type`, its class; `tb`, its traceback, or None when it never was
    raised or the Failure was cleaned or pickled.
    """

    def __init__(self, value: E | Failure[E] | None = None) -> None:
        """Hold `value`: an exception, another Failure (whose exception and traceback are taken over), or None
        for the exception that is being handled.

        Raises NoCurrentExceptionError when `value` is None and no exception is being handled, TypeError when
        it is something else.
        """
        if isinstance(value, Failure):
            self.__dict__.update(value.__dict__)
            return
        held: E = _current_exception() if value is None else value
        if not isinstance(held, BaseException):
            raise TypeError(f"a Failure holds an exception, not {held!r}")
        self.value = held
        self.type = type(held)
        self.tb: TracebackType | None = held.__traceback__
        self._text: tuple[str, str] | None = None

    @overload
    def check(self, *errorTypes: type[X]) -> type[X] | None: ...
    @overload
    def check(self, *errorTypes: type[X] | str) -> type[X] | str | None: ...

    def check(self, *errorTypes: type[X] | str) -> type[X] | str | None:
        """Say which of `errorTypes` the exception is an instance of.

        `errorTypes` are exception classes, or their dotted names such as "builtins.ValueError" (for a class
        that the caller would rather not import). Returns the first that matches, as it was given, or None.
        """
        for wanted in errorTypes:
            if wanted in self._names() if isinstance(wanted, str) else issubclass(self.type, wanted):
                return wanted
        return None

    @overload
    def trap(self, *errorTypes: type[X]) -> type[X]: ...
    @overload
    def trap(self, *errorTypes: type[X] | str) -> type[X] | str: ...

    def trap(self, *errorTypes: type[X] | str) -> type[X] | str:
        """Let only `errorTypes` pass, as `except` does: an errback starts with it.

        Takes and returns what `check` does. Raises the exception itself when none matches.
        """
        matched = self.check(*errorTypes)
        if matched is not None:
            return matched
        try:
            raise self.value.with_traceback(self.tb)
        finally:
            del self  # the traceback holds this frame, which would hold the exception

    def raiseException(self) -> NoReturn:
        """Raise the exception, with the traceback it had."""
        try:
            raise self.value.with_traceback(self.tb)
        finally:
            del self  # the traceback holds this frame, which would hold the exception

    def throwExceptionIntoGenerator(self, g: Generator[Y, Any, Any]) -> Y:
        """Raise the exception inside the generator `g`, where it yielded, with the traceback it had.

        Returns what `g` yields next; raises StopIteration when `g` returns, and what `g` raises.
        """
        try:
            return g.throw(self.value.with_traceback(self.tb))
        finally:
            del self  # the traceback holds this frame, which would hold the exception

    def getTracebackObject(self) -> TracebackType | None:
        """Return the traceback, or None when the exception never was raised, was cleaned or was pickled."""
        return self.tb

    def getErrorMessage(self) -> str:
        """Return the text of the exception; never raises."""
        try:
            return str(self.value)
        except Exception:
            return f"<unprintable {self.type.__name__} object>"

    def getTraceback(self) -> str:
        """Return the traceback as the interpreter prints it, with the exceptions that led to this one."""
        if self._text is not None:
            return self._text[0]
        import traceback  # with what it imports in turn, a tenth of the time that importing a reactor takes

        return "".join(traceback.format_exception(self.type, self.value, self.tb))

    def getBriefTraceback(self) -> str:
        """Return the exception and one line `file:line:function` for each frame, the innermost last."""
        if self._text is not None:
            return self._text[1]
        head = "Traceback" if self.tb else "Traceback (failure with no frames)"
        return f"{head}: {self.type}: {self.getErrorMessage()}\n" + "".join(_frames(self.tb))

    def printTraceback(self, file: TextIO | None = None) -> None:
        """Write `getTraceback()` to `file`, or to standard error."""
        (file or sys.stderr).write(self.getTraceback())

    def printBriefTraceback(self, file: TextIO | None = None) -> None:
        """Write `getBriefTraceback()` to `file`, or to standard error."""
        (file or sys.stderr).write(self.getBriefTraceback())

    def cleanFailure(self) -> None:
        """Let go of the frames of the traceback, and so of all their variables; its text stays."""
        self.__dict__.update(self.__getstate__())
        self.value.__traceback__ = None

    def _names(self) -> list[str]:
        return [f"{cls.__module__}.{cls.__qualname__}" for cls in self.type.__mro__]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "tb": None, "_text": (self.getTraceback(), self.getBriefTraceback())}

    def __repr__(self) -> str:
        here = type(self)
        return f"<{here.__module__}.{here.__qualname__} {self._names()[0]}: {self.getErrorMessage()}>"

    def __str__(self) -> str:
        return f"[Failure instance: {self.getBriefTraceback()}]"


def _frames(tb: TracebackType | None) -> Iterator[str]:
    while tb is not None:
        code = tb.tb_frame.f_code
        yield f"{code.co_filename}:{tb.tb_lineno}:{code.co_name}\n"
        tb = tb.tb_next


def _current_exception() -> Any:
    current = sys.exception()
    if current is None:
        raise NoCurrentExceptionError(
            "Failure() takes the exception being handled, and there is none: "
            "call it inside an except block, or pass it the exception"
        )
    return current
