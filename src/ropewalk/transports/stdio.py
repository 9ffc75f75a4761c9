"""Standard input and output as one stream, whatever each of them is: a pipe, a terminal, a socket or a file."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from typing import Any

from ropewalk.interfaces import INVALID, READ, WRITE, Handler, Loop
from ropewalk.transports.pieces import Step
from ropewalk.transports.stream import State, Stream

if sys.platform == "win32":
    from ropewalk.transports.shared_windows import reading_end, writing_end
else:
    from ropewalk.transports.shared import reading_end, writing_end

_NAMES = ("standard input", "standard output", "standard error")


class StandardChannel:
    """Reads the descriptor `stdin`, writes the descriptor `stdout`, and takes both over; `stream` is told.

    Raises OSError.

    They are closed when the channel is, so that whoever reads a pipe comes to its end. But 0, 1 and 2 are never free
    for the next file that the program opens, which prints to that: they lead to /dev/null from then on.
    """

    __slots__ = ("_input", "_notice", "_output", "_places", "_stdin", "_stdout", "_told", "recv", "send")

    def __init__(self, loop: Loop, stream: StandardStream, stdin: int, stdout: int) -> None:
        self._stdin, self._stdout = stdin, stdout
        self._places = {stdin: _place(stdin, sys.__stdin__), stdout: _place(stdout, sys.__stdout__)}
        self._input: Any = reading_end(stdin)
        self._input.attach(loop, stream)
        try:
            self._output: Any = writing_end(stdout)
        except OSError:
            self._input.close()
            raise
        self._told = _Output(stream, self._output)
        self._output.attach(loop, self._told)
        self.recv = self._input.recv
        self.send = self._output.send
        # The end of who reads a pipe is told even if nothing is written, where the system tells it.
        self._notice = READ if getattr(self._output, "tells_end", False) else 0

    def attach(self, loop: Loop, handler: Handler) -> None:
        """From now on want() reports to `handler`; the stream still learns of an output that has failed."""
        self._input.attach(loop, handler)
        self._told.handler = handler

    def want(self, mask: int) -> None:
        """Ask for stream.ready(mask). Raises OSError if the system refuses a descriptor."""
        self._input.want(mask & READ)
        if self._output is not None:
            self._output.want(mask & WRITE | self._notice)

    def shutdown(self, how: int) -> None:
        """Close the output. Raises OSError."""
        output, self._output = self._output, None
        try:
            output.shutdown(how)
        finally:
            output.close()
            if self._stdout != self._stdin:
                self._let_go(self._stdout)

    def close(self) -> None:
        """Silence and close."""
        if self._output is not None:
            self._output.close()
        self._input.close()
        for number in list(self._places):
            self._let_go(number)

    def leave(self) -> None:
        """The descriptor that we read was closed behind our back: forget it."""
        self._input.leave()

    def reset_on_close(self) -> None:
        """What was written can be read after it is closed."""

    def _let_go(self, number: int) -> None:
        """Close what was given to us, unless it was closed by others, and its number may be another's."""
        place = self._places.pop(number)
        with contextlib.suppress(OSError):
            if place != _file(number):
                return
            if number < len(_NAMES):
                _point_to_nothing(number)
            else:
                os.close(number)


class _Output:
    """The handler of the output alone. handler: of whoever waits to write."""

    __slots__ = ("_end", "_stream", "handler")

    def __init__(self, stream: StandardStream, end: Any) -> None:
        self.handler: Handler = stream
        self._stream = stream
        self._end = end

    def ready(self, mask: int) -> None:
        if mask & INVALID:
            self._end.leave()
            self._stream.output_failed(OSError(errno.EBADF, os.strerror(errno.EBADF)))
        elif mask & WRITE:
            self.handler.ready(WRITE)
        elif _has_ended(self._end):
            self._stream.output_failed(BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)))


class StandardStream(Stream):
    """The stream over a StandardChannel. Raises what that does.

    Who reads the output may go away while there is still input. A half-closeable protocol is told by
    writeConnectionLost(), and goes on to read; for any other the connection is lost.
    """

    __slots__ = ("_unread",)

    def __init__(self, loop: Loop, stdin: int, stdout: int) -> None:
        super().__init__(loop, None)
        self.channel = StandardChannel(loop, self, stdin, stdout)
        self._unread = False   # nobody reads the output

    def output_failed(self, error: OSError) -> None:
        """The output is no more, because of `error`."""
        self._break_with(error)

    def _break_with(self, error: OSError) -> None:
        if isinstance(error, BrokenPipeError) and self._may_only_read():
            self._unread = True
            self._state = State.ENDING
            self._soon()
        else:
            super()._break_with(error)

    def _may_only_read(self) -> bool:
        """Whether the input goes on, and the protocol can be told that the output does not."""
        going_on = self._state in (State.OPEN, State.ENDING)
        return going_on and self.reactor.kit.half_closeable(self.protocol) is not None

    def settle(self) -> None:
        if self._unread and self._state is State.ENDING:
            self._write_no_more()
        super().settle()

    def _write_no_more(self) -> None:
        """Nobody reads the output: drop what was to be written, and end who produces it."""
        unsent, self._queue, self._queued = self._queue, (), 0
        self._blocked = False
        producer, self._producer = self._producer, None
        if producer is not None:
            self._call(producer, "stopProducing")
        kit = self.reactor.kit
        for piece in unsent:
            if isinstance(piece, Step):
                self._call(piece, "fail", kit.failure(kit.error.ConnectionLost(os.strerror(errno.EPIPE))))

    def _drop_data(self, data: bytes) -> None:
        if not self._unread:   # else the program cannot know yet
            super()._drop_data(data)


def _has_ended(end: Any) -> bool:
    """Whether nobody reads what `end`, which only writes, has written."""
    try:
        return not end.recv(1)
    except BlockingIOError:
        return False


def _place(number: int, opened: Any) -> tuple[int, int]:
    """What file `number` is. Raises OSError if it is none of ours. opened: Python's file for it, None without one."""
    name = f"descriptor {number}" + (f", {_NAMES[number]}," if 0 <= number < len(_NAMES) else "")
    try:
        place = _file(number)
        # Closed when Python started, so that its number went to the next file that Python opened for itself.
        ours = opened is not None or number >= len(_NAMES) or os.get_inheritable(number)
    except OSError as error:
        raise OSError(error.errno, f"{name} is not open") from None
    if not ours:
        raise OSError(errno.EBADF, f"{name} was closed when this process started")
    return place


def _file(number: int) -> tuple[int, int]:
    status = os.fstat(number)
    return status.st_dev, status.st_ino


def _point_to_nothing(number: int) -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, number)
    os.close(nothing)
