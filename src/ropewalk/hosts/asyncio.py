"""The asyncio host: an event loop of asyncio, the standard one or another (uvloop's), serves the reactor.

* add_reader() takes any descriptor that polls, the poller's own too. A loop on completions (Windows' Proactor loop) has
  no add_reader(): the helper thread posts there, by call_soon_threadsafe().
* A turn of asyncio runs every callback that is ready once, and we are one of them; the tasks wait for no more than one
  turn of ours, which deals with 1,024 descriptors at most.
* asyncio does not nest: while a callback runs, nothing else of that loop does. So reactor.iterate() in a callback gives
  the reactor its turn and asyncio none.
* Nobody is told that a loop ends. But asyncio.run(), like asyncio.Runner, closes the asynchronous generators that are
  left, when all tasks are done, just before its loop ends: we leave it one.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Any


class AsyncioHost:
    """Serves by the loop that it is given, else by the one that runs; else run() makes one, as asyncio.run() does."""

    foreign = True

    @staticmethod
    def missing() -> str | None:
        """Why it cannot be used here: never."""
        return None

    def __init__(
        self,
        reactor: Any,
        eventloop: asyncio.AbstractEventLoop | None = None,
        loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
    ) -> None:
        self._reactor = reactor
        self._given = eventloop
        self._make_loop = loop_factory
        self._loop = eventloop
        self._runner: asyncio.Runner | None = None
        self._fd: int | None = None
        self._end: AsyncGenerator[None, None] | None = None
        self._going = False

    def run(self) -> None:
        loop = self._the_loop()
        if loop.is_running():
            raise RuntimeError(f"reactor.run() cannot run {loop!r}, which runs already: call reactor.attach() there")
        self._going = True
        try:
            loop.run_forever()
        finally:
            self._going = False
            runner, self._runner = self._runner, None
            if runner is not None:
                runner.close()

    def quit(self) -> None:
        if self._going:
            self._the_loop().stop()

    def step(self) -> None:
        if self._loop is not None and _running() is None and not self._loop.is_closed():
            self._loop.call_soon(self._loop.stop)
            self._loop.run_forever()

    def begin(self) -> None:
        self._loop = self._find_loop()
        self._leave_generator(self._loop)

    def post(self, call: Callable[[], object]) -> None:
        loop = self._the_loop()
        try:
            loop.call_soon_threadsafe(call)
        except RuntimeError:
            if not loop.is_closed():   # as it is from the end of run() to end()
                raise

    def watch(self, fd: int, call: Callable[[], object]) -> bool:
        try:
            self._the_loop().add_reader(fd, call)
        except NotImplementedError:
            return False
        self._fd = fd
        return True

    def end(self) -> None:
        self._take_generator()
        loop, fd = self._the_loop(), self._fd
        self._fd = None
        if fd is not None and not loop.is_closed():
            loop.remove_reader(fd)

    def _the_loop(self) -> asyncio.AbstractEventLoop:
        assert self._loop is not None, "begin() comes first"
        return self._loop

    def _find_loop(self) -> asyncio.AbstractEventLoop:
        running = _running()
        loop = self._given or running
        if loop is None:
            self._runner = asyncio.Runner(loop_factory=self._make_loop)
            return self._runner.get_loop()
        if loop is not running and loop.is_running():
            raise RuntimeError(f"{loop!r} runs in another thread, and only there the reactor can be run or attached")
        return loop

    # -- the end of the loop

    async def _until_the_end(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            if self._end is not None:
                self._end = None
                self._reactor.host_ended()

    def _leave_generator(self, loop: asyncio.AbstractEventLoop) -> None:
        self._take_generator()
        self._end = self._until_the_end()
        loop.call_soon(self._begin_generator, self._end)

    def _begin_generator(self, end: AsyncGenerator[None, None]) -> None:
        """In the loop, which notes the generators that begin while it runs."""
        if end is self._end:
            _advance(end.__anext__())

    def _take_generator(self) -> None:
        end, self._end = self._end, None
        if end is not None:
            _advance(end.aclose())


def _advance(awaitable: Any) -> None:
    """Let an asynchronous generator go to its next yield, or to its end; this one never waits."""
    with contextlib.suppress(StopIteration):
        awaitable.send(None)


def _running() -> asyncio.AbstractEventLoop | None:
    with contextlib.suppress(RuntimeError):
        return asyncio.get_running_loop()
    return None
