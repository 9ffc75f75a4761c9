"""The reactor on CoreFoundation's run loop, for Cocoa programs on macOS, with PyObjC or without.

A program whose NSApplication runs the loop is served by it from reactor.attach() on, and calls reactor.stop() before it
terminates, as examples/cocoa shows. One that has no windows calls reactor.run().
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ropewalk.internet.base import ReactorBase
from ropewalk.internet.main import installReactor


class CFReactor(ReactorBase):
    """Served by the run loop of the thread that it is run, or attached, in.

    runLoop: that loop, to have another thread's refused (RuntimeError): a pointer, or PyObjC's object (untested). None:
    whichever it is. runner: what runs it instead of CFRunLoopRun, such as AppHelper.runConsoleEventLoop (untested);
    its return stops the reactor. A runner that CFRunLoopStop does not end is ended by the program, with a trigger
    "after" "shutdown", such as AppHelper.stopEventLoop.
    """

    name = "cf"

    def __init__(self, runLoop: Any = None, runner: Callable[[], object] | None = None) -> None:
        super().__init__(runLoop=runLoop, runner=runner)


def install(runLoop: Any = None, runner: Callable[[], object] | None = None) -> CFReactor:
    """Install a reactor on the run loop; the arguments are CFReactor's. Returns it.

    Raises ReactorAlreadyInstalledError if another one is installed.
    """
    reactor = CFReactor(runLoop, runner)
    installReactor(reactor)
    return reactor
