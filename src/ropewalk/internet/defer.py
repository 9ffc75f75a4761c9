"""Deferreds: results that are not there yet, and what works on them; Twisted's names."""

from ropewalk.errors import TimeoutError
from ropewalk.internet.coroutines import NotACoroutineError, ensureDeferred, inlineCallbacks
from ropewalk.internet.deferred import AlreadyCalledError, CancelledError, Deferred
from ropewalk.internet.gathering import DeferredList, FirstError, gatherResults
from ropewalk.internet.making import execute, fail, maybeDeferred, succeed
from ropewalk.internet.running import passthru
from ropewalk.internet.unhandled import getDebugging, setDebugging

# The first of the pair that a DeferredList has for each of its Deferreds.
SUCCESS = True
FAILURE = False

__all__ = [
    "FAILURE",
    "SUCCESS",
    "AlreadyCalledError",
    "CancelledError",
    "Deferred",
    "DeferredList",
    "FirstError",
    "NotACoroutineError",
    "TimeoutError",
    "ensureDeferred",
    "execute",
    "fail",
    "gatherResults",
    "getDebugging",
    "inlineCallbacks",
    "maybeDeferred",
    "passthru",
    "setDebugging",
    "succeed",
]
