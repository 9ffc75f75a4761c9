"""Our kit: the reactor speaks to programs in our failures, Deferreds, addresses and errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ropewalk import errors
from ropewalk.interfaces import Sockaddr, T
from ropewalk.internet.address import make_address
from ropewalk.internet.deferred import Deferred
from ropewalk.internet.failure import Failure


class OurKit:
    """See ropewalk.interfaces.Kit."""

    error: Any = errors
    failure: Callable[[BaseException], Failure[Any]] = staticmethod(Failure)
    deferred: Callable[..., Deferred[Any]] = staticmethod(Deferred)
    address: Callable[[str, int, Sockaddr], Any] = staticmethod(make_address)

    def is_deferred(self, value: object) -> bool:
        return isinstance(value, Deferred)

    def connect_error(self, error: OSError, where: str) -> Exception:
        return errors.connect_error(error, where)

    def variant(self, ours: type[T]) -> type[T]:
        return ours

    def half_closeable(self, protocol: Any) -> Any:
        return protocol if hasattr(protocol, "readConnectionLost") else None

    def log(self, level: int, message: str) -> None:
        _logger().log(level, "%s", message)

    def report(self, exception: BaseException, why: str, culprit: object = None) -> None:
        _logger().error("%s: %s", why, described(culprit), exc_info=exception)


def _logger() -> Any:
    import logging  # a tenth of the time that importing a reactor takes

    return logging.getLogger("ropewalk")


def described(culprit: object) -> str:
    """What failed, for the log; it never raises."""
    try:
        return f"{_prefix(culprit)}{culprit!r}"
    except Exception as error:   # what failed may be half made
        return f"<{type(culprit).__name__}, whose repr() raises {type(error).__name__}>"


def _prefix(culprit: Any) -> str:
    """The log prefix of `culprit`, or of the program's part in it: its protocol, or the factory that makes these."""
    candidates: tuple[Any, ...] = (culprit, getattr(culprit, "protocol", None), getattr(culprit, "factory", None))
    for named in candidates:
        if hasattr(named, "logPrefix"):
            return f"{named.logPrefix()}: "
    return ""


KIT = OurKit()
