"""Deferreds: results that are not there yet, and what works on them; Twisted's names."""

from ropewalk.errors import TimeoutError
from ropewalk.internet.coroutines import NotACoroutineError, ensureDeferred, inlineCallbacks, returnValue
from ropewalk.internet.deferred import AlreadyCalledError, CancelledError, Deferred
from ropewalk.internet.filelock import AlreadyTryingToLockError, DeferredFilesystemLock
from ropewalk.internet.gathering import DeferredList, FailureGroup, FirstError, gatherResults, race
from ropewalk.internet.locks import DeferredLock, DeferredSemaphore
from ropewalk.internet.making import execute, fail, maybeDeferred, succeed
from ropewalk.internet.queues import DeferredQueue, QueueOverflow, QueueUnderflow
from ropewalk.internet.running import passthru
from ropewalk.internet.unhandled import getDebugging, logError, setDebugging

# The first of the pair that a DeferredList has for each of its Deferreds.
SUCCESS = True
FAILURE = False

__all__ = [
    "FAILURE",
    "SUCCESS",
    "AlreadyCalledError",
    "AlreadyTryingToLockError",
    "CancelledError",
    "Deferred",
    "DeferredFilesystemLock",
    "DeferredList",
    "DeferredLock",
    "DeferredQueue",
    "DeferredSemaphore",
    "FailureGroup",
    "FirstError",
    "NotACoroutineError",
    "QueueOverflow",
    "QueueUnderflow",
    "TimeoutError",
    "ensureDeferred",
    "execute",
    "fail",
    "gatherResults",
    "getDebugging",
    "inlineCallbacks",
    "logError",
    "maybeDeferred",
    "passthru",
    "race",
    "returnValue",
    "setDebugging",
    "succeed",
]
