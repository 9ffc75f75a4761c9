"""What the layers of Ropewalk promise each other; it imports nothing of ours.

Reactor = Host x Poller. A poller waits for descriptors, a host owns the thread's blocking wait, the reactor
has everything else. Masks are the bits of poll(2), which have the same values on every system; anything but
WRITE means "try to read". Spurious readiness is allowed, a false completion never is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
READ, WRITE, ERROR, HANGUP, INVALID = 1, 4, 8, 16, 32

Sockaddr = tuple[Any, ...] | str | bytes


class Handler(Protocol):
    """What a poller reports to; one a descriptor.

    One that gathers what its callback leaves also has nested(), which is called when that callback has opened a nested
    loop.
    """

    def ready(self, mask: int) -> None:
        """The descriptor is ready for `mask`. An exception that leaves it is a defect: it is logged."""


class Poller(Protocol):
    """Waits for descriptors. Every method but wake() and park() belongs to the reactor's thread."""

    @property
    def handlers(self) -> Mapping[int, Handler]:
        """The handler of each descriptor that is watched."""

    @property
    def masks(self) -> Mapping[int, int]:
        """What each descriptor that is watched is watched for."""

    @property
    def stale(self) -> set[int]:
        """Descriptors whose entries, collected by the last wait(), must not be delivered any more."""

    def set(self, fd: int, mask: int, handler: Handler) -> None:
        """Watch `fd` for `mask` on behalf of `handler`; mask 0 forgets it, at once and before it is closed.

        Forgetting a descriptor that another handler has taken over since, or that nobody watches, does nothing. A
        handler whose number has got a new owner is told ready(INVALID) by this call. Raises OSError if the system
        refuses the descriptor.
        """

    def apply(self) -> None:
        """Changed interest reaches the kernel; called before control goes to a host or a helper thread."""

    def wait(self, timeout: float | None) -> list[tuple[int, int]]:
        """The descriptors that are ready, with masks, after at most `timeout` seconds (None: no limit).

        To be called only when the entries of the call before have been dealt with.
        """

    def mute(self, fd: int, handler: Handler) -> None:
        """Report nothing for `fd` until unmute(): its handler is on the stack of a nested loop."""

    def unmute(self, fd: int, handler: Handler) -> None:
        """Undo mute(); interest that was set in between holds."""

    def fileno(self) -> int | None:
        """A descriptor that is readable when wait(0) would find something, if the system has such a thing."""

    def park(self, timeout: float | None) -> None:
        """From a helper thread: return when wait(0) may find something; touches nothing."""

    def alarm(self, seconds: float | None) -> None:
        """Make fileno() readable in `seconds`; replaces the alarm before it, None removes it.

        Does nothing where fileno() is None: there park() is given its limit.
        """

    def wake(self) -> None:
        """Make wait() or park() return; from any thread and from signal handlers, idempotent."""

    def calm(self) -> None:
        """Undo wake(), so that fileno() is readable only if there is something else."""

    def close(self) -> None:
        """Release what the poller itself holds; the watched descriptors stay open."""

    def abandon(self) -> None:
        """After fork, in the child: let go of the parent's kernel objects; to watch or wait raises RuntimeError."""


class Host(Protocol):
    """Owns the thread's blocking wait. It is made with its reactor.

    A foreign one serves the reactor from begin() to end(): while run() is on the stack, or the program runs its loop.
    """

    foreign: bool
    """Whether the loop is somebody else's, which calls the reactor when there is something to do."""

    def run(self) -> None:
        """Turn the loop until quit(), or until it ends for a reason of its own."""

    def quit(self) -> None:
        """Make run() return soon; nothing, if it is not on the stack."""

    def step(self) -> None:
        """Let the loop underneath do what it has to do, without waiting."""

    def begin(self) -> None:
        """Take what it needs to be posted to, and to be told that the loop ends; in the thread of the loop."""

    def post(self, call: Callable[[], object]) -> None:
        """Run `call` in the host's thread soon, in a nested loop, too; from any thread, between begin() and end()."""

    def watch(self, fd: int, call: Callable[[], object]) -> bool:
        """Until end(), call `call` while `fd` is readable, in nested loops, too; False if this host cannot do that."""

    def end(self) -> None:
        """Undo begin() and watch(); what is posted, and has not been run yet, may be forgotten."""


class Lost(OSError):
    """Raised by a channel that knows itself why the connection is over. why: what connectionLost() is to be told."""

    def __init__(self, why: Exception) -> None:
        super().__init__(str(why))
        self.why = why


class Channel(Protocol):
    """The verbs of a byte stream: would-block is BlockingIOError, errors are OSError.

    On a socket they are the socket's own methods. A channel that holds bytes back, which its poller cannot see (TLS),
    puts itself into loop.settle_soon, and its settle() calls handler.ready(READ). One that can copy a file without
    reading it has send_file(descriptor, offset, count) -> int, too. send() may refuse bytes that it has taken all the
    same; `promised` then says how many, and they are offered again first of all.
    """

    recv: Callable[[int], bytes]
    send: Callable[[Any], int]

    def want(self, mask: int) -> None:
        """Ask for handler.ready(mask); 0 asks for silence."""

    def shutdown(self, how: int) -> None:
        """Shut the sending side (socket.SHUT_WR)."""

    def close(self) -> None:
        """Silence and close."""

    def leave(self) -> None:
        """Silence, and forget the descriptor without closing it: its number may be another's by now."""

    def reset_on_close(self) -> None:
        """Let close() discard what is unsent and reset the connection."""


class Kit(Protocol):
    """Makes the objects that programs see: failures, Deferreds, addresses, errors.

    Core and transports make them only through the kit that the reactor holds, so that a reactor can speak to
    its program in another vocabulary (Twisted's) at no cost.
    """

    error: Any
    """A namespace with the classes of ropewalk.errors, under the same names and with the same arguments."""

    def failure(self, exception: BaseException) -> Any:
        """`exception` as the failure object that connectionLost and errbacks take."""

    def deferred(self, canceller: Callable[[Any], None] | None = None) -> Any:
        """A Deferred that has not fired."""

    def is_deferred(self, value: object) -> bool:
        """Whether `value` is a Deferred."""

    def address(self, kind: str, family: int, sockaddr: Sockaddr) -> Any:
        """The address object of a socket address; `kind` is 'TCP', 'UDP', 'STREAM' or 'DGRAM'."""

    def connect_error(self, error: OSError, where: str) -> Exception:
        """The ConnectError for a connection to `where` that failed with `error`."""

    def variant(self, ours: type[T]) -> type[T]:
        """The class to make where a `ours`, one of our transports, is made: that, or one that derives from it."""

    def half_closeable(self, protocol: Any) -> Any:
        """`protocol` as a half-closeable protocol (readConnectionLost, writeConnectionLost), else None."""

    def log(self, level: int, message: str) -> None:
        """Log `message` at a level of the logging module. Text alone: a log record must keep no connection alive."""

    def report(self, exception: BaseException, why: str, culprit: object = None) -> None:
        """Log `exception` with its traceback; `why` says what failed, of the object `culprit`. It never raises."""


class Loop(Protocol):
    """What transports see of the reactor."""

    @property
    def kit(self) -> Kit: ...

    @property
    def poller(self) -> Poller: ...

    @property
    def settle_soon(self) -> Callable[[Any], None]:
        """settle_soon(transport): transport.settle() is due when the callback in hand returns."""

    def settle_together(self, transport: Any) -> None:
        """transport.settle() is due when some others are due as well, or there is nothing else left to do."""

    @property
    def transports(self) -> set[Any]:
        """Every open transport; what shutdown disconnects."""

    @property
    def nameResolver(self) -> Any: ...

    @property
    def callLater(self) -> Callable[..., Any]: ...

    def callFromThread(self, callable: Callable[..., object], *args: Any, **kwargs: Any) -> None: ...


class Clock(Protocol):
    """Tells the time and calls later; the reactor is one, and so is task.Clock."""

    def seconds(self) -> float:
        """The time in seconds; only differences mean something."""

    @property
    def callLater(self) -> Callable[..., Any]:
        """callLater(delay, callable, *args, **kwargs): a delayed call."""
