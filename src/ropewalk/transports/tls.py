"""TLS as a channel over another channel: the standard library's ssl between two memory BIOs.

    stream  <-plaintext->  TLSChannel  <-records->  the channel of a socket or pipe

What decided its shape:
* The stream above is the same as without TLS. So send() takes plaintext whole or not at all: it encrypts, and
  while the channel below has not taken all of the records it says "would block"; asked again with the same beginning,
  it goes on sending, and says then how much that was.
* Until the handshake is done this channel handles the descriptor itself, since what TLS waits for is not what the
  stream waits for. Then the stream gets the descriptor, and nothing of ours stands between poller and stream.
* A record holds 16 kB at most, and a read gives one: reads go on while there are records, but not to the exception that
  says there is none, if nothing is left to decrypt.
* The end of a record that waits for an acknowledgement (Nagle's algorithm) keeps all of it from being decrypted, and
  what a callback writes is gathered anyway: so TCP_NODELAY is set.
* SSL_shutdown breaks the session if there are records that were not read: they are read first.
* Contexts of the standard library take an end without close_notify for an orderly one (OP_IGNORE_UNEXPECTED_EOF), and
  that is what somebody who cuts a connection short makes. So ssl is never told of the end: it is seen here.
* Who closes a socket that has not read everything resets the connection, which may destroy what the peer has yet to
  read; and TLS peers send unasked (session tickets, close_notify). So the descriptor of an orderly end is left to a
  Farewell.
"""

from __future__ import annotations

import contextlib
import enum
import errno
import os
import ssl
from collections.abc import Callable
from typing import Any

from ropewalk.interfaces import INVALID, READ, WRITE, Loop, Lost
from ropewalk.transports.farewell import Farewell
from ropewalk.transports.host_names import server_name
from ropewalk.transports.pieces import Step
from ropewalk.transports.tls_errors import Late, explained

HANDSHAKE_LIMIT = 60.0   # seconds
_RECORDS = 131072   # bytes of plaintext that are encrypted at a time
_RECORD = 16384   # bytes of plaintext in one record, at most
_READ_SIZE = 98304   # 64 kB and its records' headers at once; from 128 kB on glibc maps memory for every read
_MOST_UNSENT = 1_000_000   # bytes of records; more are answers to a peer that asks on and on, and reads nothing


class Stage(enum.Enum):
    """Where a TLS channel stands."""

    PLAIN = "what was written before TLS is being sent"
    HANDSHAKE = "handshake"
    OPEN = "open"
    ENDED = "our close_notify is sent"
    FAILED = "failed"
    CLOSED = "closed"


_OPEN = Stage.OPEN
_BEFORE = (Stage.PLAIN, Stage.HANDSHAKE)


class TLSChannel:
    """See interfaces.Channel; its handler is a stream.

    stream: whose channel becomes the one below; contextFactory, server_side, name: see start_tls().
    Raises what that raises.
    """

    __slots__ = (
        "_accepted",
        "_below",
        "_done",
        "_early",
        "_ends_at_once",
        "_error",
        "_handler",
        "_held",
        "_incoming",
        "_is_last",
        "_limit",
        "_loop",
        "_muted",
        "_outgoing",
        "_peer",
        "_peer_ended",
        "_remember",
        "_stage",
        "_timer",
        "_unsent",
        "_wish",
        "session",
    )

    def __init__(self, stream: Any, contextFactory: Any, server_side: bool, name: str | None) -> None:
        context = context_of(contextFactory, server_side)
        wanted = None if server_side else _name_to_prove(contextFactory, name)
        if context.check_hostname and not (server_side or wanted):   # wrap_bio() would then verify no name
            raise ValueError("the context verifies the name of the server, and there is none: say which")
        if not context.options & ssl.OP_NO_RENEGOTIATION:   # while it lasts nothing can be written
            context.options |= ssl.OP_NO_RENEGOTIATION
        resumed = None if server_side else getattr(contextFactory, "session", None)
        self._loop: Loop = stream.reactor
        self._below = stream.channel
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self.session = context.wrap_bio(self._incoming, self._outgoing, server_side, wanted, resumed)
        self._peer = wanted or ("the client" if server_side else "the server")
        self._limit: float = getattr(contextFactory, "handshakeTimeout", HANDSHAKE_LIMIT)
        self._remember = None if server_side else getattr(contextFactory, "remember", None)
        self._handler = stream
        self._done: Callable[[], object] | None = stream.handshake_done
        self._stage = Stage.PLAIN
        self._wish = 0          # what the stream has asked for
        self._early = False     # there is something to read, or an end, that the poller cannot see
        self._muted = False     # settle() tells the stream of something
        self._held = b""        # plaintext that was read before close_notify was sent
        self._is_last = False   # close_notify is to follow the handshake
        self._peer_ended = False
        self._ends_at_once = False   # nothing more is to be said to the peer, or to be waited for
        self._unsent: bytes | memoryview = b""   # records that the channel below has not taken
        self._accepted = 0      # bytes of plaintext in them, which the stream still thinks unsent
        self._error: OSError | None = None
        self._timer: Any = None

    def attach(self, loop: Loop, handler: Any) -> None:
        """From now on want() reports to `handler`, a stream."""
        self._handler = handler

    # -- the handshake

    def receive(self, records: bytes) -> None:
        """These came before, and nothing since."""
        self._incoming.write(records)

    def begin(self) -> None:
        """What was written in the clear is sent: begin the handshake."""
        self._stage = Stage.HANDSHAKE
        self._timer = self._loop.callLater(self._limit, self._too_late)
        self._below.want(0)
        self._below.attach(self._loop, self)
        try:
            self._shake()
        except OSError as error:
            self._give_up(error)

    def ready(self, mask: int) -> None:
        """The poller's report, until the handshake is done."""
        if mask & INVALID:
            self._handler.ready(mask)
            return
        try:
            if mask & ~WRITE:
                self._take(self._below.recv(_READ_SIZE))
            self._shake()
        except BlockingIOError:
            return
        except OSError as error:
            self._give_up(error)

    def _take(self, data: bytes) -> None:
        """Raises ssl.SSLEOFError if that is the end."""
        if not data:
            self._peer_ended = True
            raise ssl.SSLEOFError
        self._incoming.write(data)

    def _shake(self) -> None:
        try:
            self.session.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            self._ask()
        else:
            self._flush()
            self._open()

    def _open(self) -> None:
        """The handshake is done: the program is told, then the stream takes the descriptor over."""
        self._stage = _OPEN
        self._stop_timer()
        self._early = bool(self._incoming.pending)
        done, self._done = self._done, None
        try:
            if done is not None:
                done()
        finally:
            if self._stage is not Stage.CLOSED:
                self._hand_over()

    def _hand_over(self) -> None:
        self._below.want(0)
        self._below.attach(self._loop, self._handler)
        if self._is_last:
            self._say_goodbye()
        self.want(self._wish)

    def _too_late(self) -> None:
        self._give_up(Late(f"no handshake within {self._limit:g} seconds"))

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()

    def _fail(self, error: OSError) -> OSError:
        """TLS is over because of `error`, which the peer is told if it is one of TLS; what the stream is told."""
        within = self._stage in _BEFORE
        self._stage = Stage.FAILED
        self._stop_timer()
        with contextlib.suppress(OSError):
            self._flush()
        self._error = Lost(explained(self._loop.kit.error, error, self._peer, within))
        return self._error

    def _give_up(self, error: OSError) -> None:
        """TLS is over because of `error`, which the stream is to find soon."""
        self._fail(error)
        self._soon()

    # -- the channel

    def recv(self, size: int) -> bytes:
        if self._stage is not _OPEN and (held := self._received_before()):
            return held
        if self._early:
            self._early = False
        else:
            data = self._below.recv(_READ_SIZE)
            if not data:
                self._peer_ended = True
                raise self._fail(ssl.SSLEOFError())
            self._incoming.write(data)
        try:
            plain = self.session.read(_RECORD)
            if self._incoming.pending and plain:
                plain = self._read_on([plain])
        except ssl.SSLWantReadError:
            plain = None
        except ssl.SSLZeroReturnError:
            plain = b""
        except ssl.SSLError as error:
            raise self._fail(error) from None
        if self._outgoing.pending:
            self._answer()
        if plain is None:
            self._keep_session()
            raise BlockingIOError
        if not plain:
            self._peer_ended = True
        return plain

    def _received_before(self) -> bytes:
        """What was read already; b"" if there may be more to come. Raises OSError."""
        if self._held:
            held, self._held = self._held, b""
            self._soon()
            return held
        if self._error is not None:
            raise self._error
        if self._stage in _BEFORE:   # what is there belongs to the handshake
            raise BlockingIOError
        return b""

    def _read_on(self, pieces: list[bytes]) -> bytes:
        """`pieces`, and all that can be read now, as one; an end is told after them."""
        try:
            while self._incoming.pending and (not pieces or pieces[-1]):
                pieces.append(self.session.read(_RECORD))
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            pieces.append(b"")
        except ssl.SSLError as error:
            self._fail(error)
        if self._error is not None or (pieces and not pieces[-1]):
            self._soon()
        return b"".join(pieces)

    def _answer(self) -> None:
        """Send what TLS says by itself. A failure is found by who sends or receives next."""
        with contextlib.suppress(OSError):
            self._flush()
            if self._unsent:
                self._ask()
        if len(self._unsent) > _MOST_UNSENT:
            self._give_up(Late("the peer asks on and on, and reads no answer"))

    def _soon(self) -> None:
        """There is something for the stream that no poller will tell."""
        self._early = True
        self._loop.settle_soon(self)

    def send(self, data: Any) -> int:
        if self._stage is not _OPEN:
            return self._send_otherwise(data)
        if self._unsent:
            self._flush()
            if self._unsent:
                raise BlockingIOError
        if self._accepted:
            accepted, self._accepted = self._accepted, 0
            return accepted
        if not data:
            return 0
        try:
            taken = self.session.write(data[:_RECORDS] if len(data) > _RECORDS else data)
        except ssl.SSLError as error:
            raise self._fail(error) from None
        records = self._outgoing.read()
        try:
            sent = self._below.send(records)
        except BlockingIOError:
            sent = 0
        if sent == len(records):
            return taken
        self._unsent = memoryview(records)[sent:]
        self._accepted = taken
        raise BlockingIOError

    @property
    def promised(self) -> int:
        """How many bytes of what send() has refused are under way: offered again, they will be counted."""
        return self._accepted

    def _send_otherwise(self, data: Any) -> int:
        if self._stage is Stage.PLAIN:
            sent: int = self._below.send(data)
            return sent
        if self._stage is Stage.HANDSHAKE:   # its end will tell
            raise BlockingIOError
        raise self._error or OSError(errno.EPIPE, os.strerror(errno.EPIPE))

    def want(self, mask: int) -> None:
        self._wish = mask
        if self._unsent:
            self._flush()
        if self._early and mask & READ:
            self._loop.settle_soon(self)
        self._ask()

    def settle(self) -> None:
        """There is something to read that the poller cannot see."""
        if not self._early or self._handler is None:
            return
        if not self._wish & READ and self._done is None:   # a handshake that failed is told to who reads nothing, too
            return
        if self._handler.inside:   # and the program turns the loop there
            self._handler.settle_channel()
            return
        self._muted = True   # or else a loop that the program turns now would enter it again
        self._below.want(0)
        try:
            self._handler.ready(READ)
        finally:
            self._muted = False
            if self._handler is not None:
                self._unmute()

    def _unmute(self) -> None:
        try:
            self._ask()
        except OSError:   # closed behind our back meanwhile
            self._handler.ready(INVALID)

    def _ask(self) -> None:
        if self._muted:
            return
        if self._stage is Stage.HANDSHAKE:
            mask = READ
        elif self._stage is Stage.PLAIN:
            mask = self._wish & ~READ   # what comes now belongs to TLS
        else:
            mask = self._wish
        self._below.want(mask | WRITE if self._unsent else mask)

    def _flush(self) -> None:
        """Send what TLS itself has to say, behind what was not taken before. Raises OSError."""
        records = self._outgoing.read()
        if self._unsent:
            records = b"".join((self._unsent, records))
        if records:
            try:
                sent = self._below.send(records)
            except BlockingIOError:
                sent = 0
            self._unsent = memoryview(records)[sent:]

    # -- the end

    def shutdown(self, how: int) -> None:
        self._is_last = True
        self._say_goodbye()
        self._ask()

    def _say_goodbye(self) -> None:
        """Send close_notify, if it is time to."""
        if self._stage is not _OPEN:
            return
        if self._incoming.pending:
            self._held = self._read_on([])
            self._soon()
        if self._stage is not _OPEN:   # what was read is no TLS
            return
        self._stage = Stage.ENDED
        with contextlib.suppress(ssl.SSLError):   # it has to wait for the peer's, or has that already
            self.session.unwrap()
        self._flush()

    def _keep_session(self) -> None:
        """Let the context factory have what the next connection may resume: TLS 1.3 sends it after the handshake."""
        if self._remember is not None:
            self._remember(self.session.session)

    def close(self) -> None:
        if self._stage is Stage.CLOSED:
            return
        self._part()
        if self._stage is Stage.ENDED:
            self._keep_session()
        waits = self._stage not in _BEFORE and not (self._ends_at_once or (self._peer_ended and not self._unsent))
        self._let_go()
        if waits:
            Farewell(self._loop, self._below, self._unsent)
        else:
            self._below.close()

    def leave(self) -> None:
        self._let_go()
        self._below.leave()

    def _let_go(self) -> None:
        """It is over: let go of everybody else, so that nobody needs the garbage collector."""
        self._stage = Stage.CLOSED
        self._stop_timer()
        self._handler = self._done = self._remember = self._error = None

    def hasten(self) -> None:
        """Let close() wait for nothing: the reactor shuts down."""
        self._part()
        self._ends_at_once = True

    def _part(self) -> None:
        """End our side; without close_notify, which says that it was all, if what was accepted is not all sent."""
        if not (self._ends_at_once or self._accepted):
            with contextlib.suppress(OSError):
                self._say_goodbye()

    def reset_on_close(self) -> None:
        self._ends_at_once = True
        self._below.reset_on_close()


class Beginning(Step):
    """The place in the queue of a stream where TLS begins."""

    def __init__(self, channel: TLSChannel) -> None:
        self._channel = channel

    def send_some(self, channel: Any) -> bool:
        self._channel.begin()
        return True


class Refusal(Step):
    """The place in the queue of a stream where it ends, because of `error`."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def send_some(self, channel: Any) -> bool:
        raise Lost(self._error)


def start_tls(stream: Any, contextFactory: Any, server_side: bool, name: str | None = None) -> None:
    """Let `stream` go on over TLS, behind what was written already.

    contextFactory: see context_of(); what it may have besides: `hostname`, which a client's peer has to prove instead
    of `name`; `session` and remember(session), to resume one; `handshakeTimeout`, seconds (default: HANDSHAKE_LIMIT).
    Raises ValueError if the context wants a name and there is none, or it is no name, and as context_of().
    """
    channel = TLSChannel(stream, contextFactory, server_side, name)
    if hasattr(stream, "setTcpNoDelay"):
        with contextlib.suppress(OSError):   # the peer has gone: reading will say so
            stream.setTcpNoDelay(True)
    stream.interpose(channel, Beginning(channel))


def _name_to_prove(contextFactory: Any, name: str | None) -> str | None:
    said: str | None = getattr(contextFactory, "hostname", None)
    return server_name(name) if said is None and name is not None else said


def context_of(contextFactory: Any, server_side: bool) -> ssl.SSLContext:
    """The context for one connection: `contextFactory` itself, or what its getContext() returns.

    A client's is that of getClientContext(), if there is such a method. Raises TypeError if that is no ssl.SSLContext,
    and what the method raises.
    """
    if isinstance(contextFactory, ssl.SSLContext):
        return contextFactory
    get = getattr(contextFactory, "getContext", None)
    if not server_side:
        get = getattr(contextFactory, "getClientContext", get)
    context = None if get is None else get()
    if not isinstance(context, ssl.SSLContext):
        raise TypeError(f"TLS needs an ssl.SSLContext, or an object whose getContext() returns one: {contextFactory!r}")
    return context
