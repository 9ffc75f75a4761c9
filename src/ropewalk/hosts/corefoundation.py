"""CoreFoundation's run loop, macOS's own: that of Cocoa, too. Through ctypes, so PyObjC is not needed.

Facts of CoreFoundation, and what they mean for us:
* A CFSocket watches any descriptor that polls, by a thread of its own that selects: one of them, on the poller's
  descriptor, serves all. A CFSocket for each connection would cost a change of thread for each event. That costs as
  much as 20 small messages do: so what has come meanwhile is served at once, a few times.
* It reports once, and again after CFSocketEnableCallBacks; told to do that itself, it does so when the callback has
  returned, and a nested run loop that the callback opens would hear of nothing. So we do it: after the callback, or
  when an observer tells that a nested loop begins.
* Another thing that watches descriptors, CFFileDescriptor, is macOS's alone, so that nobody could try it elsewhere.
* By default a CFSocket closes the descriptor with itself, and takes SO_ERROR away from whoever asks later.
* CFRunLoopStop ends the innermost loop, which may be the program's: then it is called when that has ended, and ours is
  the innermost. CFRunLoopRun returns at once where there is nothing to wait for.
* Whether a loop that somebody else runs has ended nobody can tell: Cocoa's runs it anew for each event.
* In the common modes we are served while a menu or a window is dragged, too.
* A run loop is a thread's; CFRunLoopGetCurrent() makes it.
* After a fork the child's run loop hangs, or ends the process, if the parent has used its own: so nothing is used
  before the reactor runs, and the child of one that did is told.
"""

from __future__ import annotations

import ctypes
import functools
import os
import select
import sys
from collections import deque
from collections.abc import Callable
from typing import Any

_FRAMEWORK = "/System/Library/Frameworks/CoreFoundation.framework/CoreFoundation"
_READ = 1   # kCFSocketReadCallBack
_LEAVE_ERRORS = 64   # kCFSocketLeaveErrors, and nothing else
_ENTRY, _EXIT = 1, 128   # CFRunLoopActivity
_STEPS = 100
_MORE = 3   # times
_HANDLED = 4   # kCFRunLoopRunHandledSource

_SocketCall = ctypes.CFUNCTYPE(
    None, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p
)
_ObserverCall = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_void_p)
_SourceCall = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class _SourceContext(ctypes.Structure):
    _fields_ = [
        ("version", ctypes.c_long),
        *((name, ctypes.c_void_p) for name in ("info", "retain", "release", "describe", "equal", "hash")),
        ("schedule", ctypes.c_void_p),
        ("cancel", ctypes.c_void_p),
        ("perform", _SourceCall),
    ]


class CoreFoundationHost:
    """Runs the run loop of its thread.

    runLoop: which one, a pointer or PyObjC's object; None: that of the thread that the reactor is run or attached in.
    runner: what runs it, and returns when it is stopped; None: CFRunLoopRun.
    """

    foreign = True

    @staticmethod
    def missing() -> str | None:
        """Why it cannot be used here; None if it can."""
        try:
            _library()
        except OSError as error:
            return f"CoreFoundation cannot be loaded, which comes with macOS ({error})"
        return None

    def __init__(self, reactor: Any, runLoop: Any = None, runner: Callable[[], object] | None = None) -> None:
        self._reactor = reactor
        self._cf = cf = _library()
        self._given = None if runLoop is None else _pointer(runLoop)
        self._runner: Callable[[], object] = runner or cf.CFRunLoopRun
        self._modes = ctypes.c_void_p.in_dll(cf, "kCFRunLoopCommonModes")
        self._default = ctypes.c_void_p.in_dll(cf, "kCFRunLoopDefaultMode")
        self._going = False
        self._is_to_end = False
        self._call: Callable[[], object] = _nothing
        self._inside = False   # of that call
        # What CoreFoundation calls must outlive it.
        self._told = _SocketCall(self._readable)
        self._seen = _ObserverCall(self._observed)
        self._perform = _SourceCall(self._run_posted)

    def begin(self) -> None:
        cf = self._cf
        self._loop = _taken(cf, self._given)
        self._posted: deque[Callable[[], object]] = deque()
        self._depth = 0   # of the loops that are run from now on
        self._socket: int | None = None
        context = _SourceContext(perform=self._perform)
        self._post_source = cf.CFRunLoopSourceCreate(None, 0, ctypes.byref(context))
        cf.CFRunLoopAddSource(self._loop, self._post_source, self._modes)
        self._observer = cf.CFRunLoopObserverCreate(None, _ENTRY | _EXIT, True, 0, self._seen, None)
        cf.CFRunLoopAddObserver(self._loop, self._observer, self._modes)

    def end(self) -> None:
        cf = self._cf
        if self._socket is not None:
            cf.CFSocketInvalidate(self._socket)   # takes its source along
            cf.CFRelease(self._socket)
            self._socket = None
        cf.CFRunLoopRemoveObserver(self._loop, self._observer, self._modes)
        cf.CFRelease(self._observer)
        cf.CFRunLoopRemoveSource(self._loop, self._post_source, self._modes)
        cf.CFRelease(self._post_source)
        self._call = _nothing

    # -- the loop

    def run(self) -> None:
        self._going = True
        self._is_to_end = False
        try:
            self._runner()
        finally:
            self._going = False

    def quit(self) -> None:
        if not self._going:
            return
        if self._depth > 1:
            self._is_to_end = True
        else:
            self._cf.CFRunLoopStop(self._loop)

    def step(self) -> None:
        _taken(self._cf, self._given)
        for _ in range(_STEPS):
            if self._cf.CFRunLoopRunInMode(self._default, 0.0, True) != _HANDLED:
                return

    def _observed(self, observer: int, activity: int, info: int) -> None:
        """A loop begins or ends. The one that ends is the innermost until this returns."""
        if activity == _ENTRY:
            self._depth += 1
            if self._inside:
                self._listen()
            return
        self._depth -= 1
        if self._is_to_end and self._depth == 1:
            self._is_to_end = False
            self.post(self.quit)

    # -- calls from other threads

    def post(self, call: Callable[[], object]) -> None:
        self._posted.append(call)
        self._cf.CFRunLoopSourceSignal(self._post_source)
        self._cf.CFRunLoopWakeUp(self._loop)

    def _run_posted(self, info: int) -> None:
        for _ in range(len(self._posted)):
            if self._posted:   # a nested loop may have run it
                self._posted.popleft()()

    # -- the descriptor

    def watch(self, fd: int, call: Callable[[], object]) -> bool:
        cf = self._cf
        watched = cf.CFSocketCreateWithNative(None, fd, _READ, self._told, None)
        if not watched:
            return False
        cf.CFSocketSetSocketFlags(watched, _LEAVE_ERRORS)
        source = cf.CFSocketCreateRunLoopSource(None, watched, 0)
        cf.CFRunLoopAddSource(self._loop, source, self._modes)
        cf.CFRelease(source)
        self._socket = watched
        self._call = call
        self._waiting = select.poll()
        self._waiting.register(fd, select.POLLIN)
        return True

    def _readable(self, watched: int, kind: int, address: int, data: int, info: int) -> None:
        outer, self._inside = self._inside, True
        try:
            self._call()
            for _ in range(_MORE):
                if self._socket is None or not self._waiting.poll(0):
                    break
                self._call()
        finally:
            self._inside = outer
            self._listen()

    def _listen(self) -> None:
        """Have the next readiness reported."""
        if self._socket is not None:
            self._cf.CFSocketEnableCallBacks(self._socket, _READ)


def _nothing() -> None:
    """A descriptor that is not watched any more was readable."""


_process: int | None = None   # the one that used CoreFoundation first


def _taken(cf: Any, given: int | None) -> int:
    """The run loop of this thread. Raises RuntimeError if it is not `given`, or in the child of a fork."""
    global _process
    if _process is None:
        _process = os.getpid()
    if _process != os.getpid():
        raise RuntimeError(
            f"CoreFoundation was used in process {_process} before that forked, and does not work in its child: fork "
            "before the reactor is first run, or start another program (spawnProcess, subprocess)"
        )
    current: int = cf.CFRunLoopGetCurrent()
    if given not in (None, current):
        raise RuntimeError(
            f"the run loop {given:#x} is another thread's: run the reactor, or attach it, in the thread whose it is"
        )
    return current


def _pointer(run_loop: Any) -> int:
    """The pointer of a run loop: that itself, or PyObjC's object (by its documentation; untested)."""
    if isinstance(run_loop, int):
        return run_loop
    if not isinstance(run_loop, ctypes.c_void_p):
        run_loop = run_loop.__c_void_p__()
    address: int = run_loop.value
    return address


@functools.cache
def _library() -> Any:
    """CoreFoundation; elsewhere than on macOS COREFOUNDATION_LIBRARY may name one. Raises OSError."""
    named = os.environ.get("COREFOUNDATION_LIBRARY")
    if sys.platform != "darwin" and named is None:
        raise OSError(f"this is {sys.platform}, and the variable COREFOUNDATION_LIBRARY names no library")
    library = ctypes.CDLL(named or _FRAMEWORK)
    pointer, number = ctypes.c_void_p, ctypes.c_long
    for name, result, *arguments in (
        ("CFRunLoopGetCurrent", pointer),
        ("CFRunLoopRun", None),
        ("CFRunLoopRunInMode", ctypes.c_int32, pointer, ctypes.c_double, ctypes.c_bool),
        ("CFRunLoopStop", None, pointer),
        ("CFRunLoopWakeUp", None, pointer),
        ("CFRunLoopAddSource", None, pointer, pointer, pointer),
        ("CFRunLoopRemoveSource", None, pointer, pointer, pointer),
        ("CFRunLoopSourceCreate", pointer, pointer, number, pointer),
        ("CFRunLoopSourceSignal", None, pointer),
        ("CFRunLoopObserverCreate", pointer, pointer, ctypes.c_ulong, ctypes.c_bool, number, _ObserverCall, pointer),
        ("CFRunLoopAddObserver", None, pointer, pointer, pointer),
        ("CFRunLoopRemoveObserver", None, pointer, pointer, pointer),
        ("CFSocketCreateWithNative", pointer, pointer, ctypes.c_int, ctypes.c_ulong, _SocketCall, pointer),
        ("CFSocketSetSocketFlags", None, pointer, ctypes.c_ulong),
        ("CFSocketCreateRunLoopSource", pointer, pointer, pointer, number),
        ("CFSocketEnableCallBacks", None, pointer, ctypes.c_ulong),
        ("CFSocketInvalidate", None, pointer),
        ("CFRelease", None, pointer),
    ):
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    return library
