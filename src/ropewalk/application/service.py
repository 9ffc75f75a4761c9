"""Services: the parts of a program that are started and stopped, and how they make up an application.

Names and behaviour are those of twisted.application.service. Beyond it, privilegedStartService() and startService() may
return a Deferred, which fires when the service is up, or fails with what kept it down; and an Application is its own
IService, IServiceCollection and IProcess, so that a call such as IServiceCollection(application) just returns it. What
a ServiceMaker is there, a command of the entry points `ropewalk.services` is here, and nothing is pickled.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

from ropewalk.internet.defer import Deferred, DeferredList, FirstError, gatherResults, maybeDeferred
from ropewalk.internet.failure import Failure

__all__ = [
    "Application",
    "IProcess",
    "IService",
    "IServiceCollection",
    "MultiService",
    "Process",
    "Service",
    "loadApplication",
]

Eventually = Deferred[Any] | None
"""What starting and stopping return: None if it is done, else a Deferred that fires when it is."""


class _Cast(type(Protocol)):  # type: ignore[misc]  # mypy knows no metaclass that is computed
    """Lets programs that come from Twisted cast an object to an interface, by calling that."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        if Protocol not in cls.__bases__:   # a class of the program's that says it implements the interface
            return super().__call__(*args, **kwargs)
        (thing,) = args
        if not isinstance(thing, cls):
            raise TypeError(f"{thing!r} is no {cls.__name__}: it lacks some of its methods and attributes")
        return thing


@runtime_checkable
class IService(Protocol, metaclass=_Cast):
    """A part of a program that can be started and stopped."""

    @property
    def name(self) -> str | None:
        """What its parent knows it by."""

    @property
    def running(self) -> Any:
        """Whether it was started, and not stopped since."""

    @property
    def parent(self) -> Any:
        """The IServiceCollection that starts and stops it; None without one."""

    def setName(self, name: str) -> None:
        """Name it. Raises RuntimeError if it has a parent."""

    def setServiceParent(self, parent: IServiceCollection) -> Eventually:
        """Become a part of `parent`, and no longer of another; started, if that runs.

        Raises RuntimeError if `parent` has one of that name already.
        """

    def disownServiceParent(self) -> Eventually:
        """Leave the parent; stopped, if that runs."""

    def privilegedStartService(self) -> Eventually:
        """Do what has to be done before the process gives its privileges up: bind ports."""

    def startService(self) -> Eventually:
        """Start."""

    def stopService(self) -> Eventually:
        """Stop."""


@runtime_checkable
class IServiceCollection(Protocol, metaclass=_Cast):
    """Several services, to be reached in their order or by name."""

    def getServiceNamed(self, name: str) -> Any:
        """The service of that name. Raises KeyError."""

    def __iter__(self) -> Iterator[Any]:
        """The services, in the order in which they came."""

    def addService(self, service: Any) -> Eventually:
        """For setServiceParent() alone. Raises RuntimeError if there is one of that name already."""

    def removeService(self, service: Any) -> Eventually:
        """For disownServiceParent() alone. Raises ValueError if it is not a part of this."""


@runtime_checkable
class IProcess(Protocol, metaclass=_Cast):
    """How the process of an application is to run."""

    @property
    def processName(self) -> str | None:
        """What the system is to call the process; None: what it does anyway."""

    @property
    def uid(self) -> int | None:
        """The user it is to run as; None: the one it has."""

    @property
    def gid(self) -> int | None:
        """The group it is to run as; None: the one it has."""


class Service:
    """The base of services: it keeps name, parent, and whether it runs."""

    name: str | None = None
    running: Any = False
    parent: Any = None

    def setName(self, name: str) -> None:
        """Name it. Raises RuntimeError if it has a parent, which knows it by the name before."""
        if self.parent is not None:
            raise RuntimeError(f"{self!r} cannot be named {name!r}: it is a part of {self.parent!r} already")
        self.name = name

    def setServiceParent(self, parent: IServiceCollection) -> Eventually:
        """Become a part of `parent`, and leave the one before. If it runs, be started: what that returns.

        Raises RuntimeError if `parent` has one of that name already, and what the start raises.
        """
        if self.parent is not None:
            self.disownServiceParent()
        self.parent = parent
        try:
            return parent.addService(self)
        except BaseException:
            if self not in list(parent):
                self.parent = None
            raise

    def disownServiceParent(self) -> Eventually:
        """Leave the parent. If it runs, be stopped: what that returns."""
        parent, self.parent = self.parent, None
        left: Eventually = parent.removeService(self)
        return left

    def privilegedStartService(self) -> Eventually:
        """Nothing needs privileges. For subclasses."""
        return None

    def startService(self) -> Eventually:
        """It runs."""
        self.running = True
        return None

    def stopService(self) -> Eventually:
        """It does not run."""
        self.running = False
        return None


class MultiService(Service):
    """A service made of others; starting and stopping is passed on to them, and none waits for another.

    services: those, in their order; namedServices: those that have a name.
    """

    def __init__(self) -> None:
        self.services: list[Any] = []
        self.namedServices: dict[str, Any] = {}

    def privilegedStartService(self) -> Eventually:
        """privilegedStartService() of each; what one raises keeps the ones after it from being called.

        Returns a Deferred if one of them did; it fails as soon as one does, with that failure.
        """
        super().privilegedStartService()
        return all_up([service.privilegedStartService() for service in self])

    def startService(self) -> Eventually:
        """startService() of each, as above."""
        super().startService()
        return all_up([service.startService() for service in self])

    def stopService(self) -> Deferred[Any]:
        """stopService() of each, the last one first; what one raises or fails with is logged and stops none of them.

        Returns a Deferred that fires when all have stopped, with a list as that of a DeferredList.
        """
        super().stopService()
        stopping = [maybeDeferred(service.stopService) for service in reversed(self.services)]
        return DeferredList(stopping)

    def getServiceNamed(self, name: str) -> Any:
        """The service of that name. Raises KeyError."""
        return self.namedServices[name]

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self.services))

    def addService(self, service: Any) -> Eventually:
        """For setServiceParent(). If this runs, the service is started; privileges may have been given up by then."""
        if service.name is not None:
            if service.name in self.namedServices:
                raise RuntimeError(f"{self!r} has a service called {service.name!r} already, and cannot have two")
            self.namedServices[service.name] = service
        self.services.append(service)
        if not self.running:
            return None
        return all_up([service.privilegedStartService(), service.startService()])

    def removeService(self, service: Any) -> Eventually:
        """For disownServiceParent(). If this runs, the service is stopped. Raises ValueError if it is none of these."""
        self.services.remove(service)
        if service.name is not None:
            del self.namedServices[service.name]
        if not self.running:
            return None
        stopped: Eventually = service.stopService()
        return stopped


def at_once(begun: Deferred[Any]) -> Eventually:
    """What a service returns that has `begun` to start: None if it is up, else that. Raises its error if it failed."""
    outcomes: list[Any] = []

    def note(outcome: Any) -> Any:
        outcomes.append(outcome)
        return outcome

    begun.addBoth(note)
    if not outcomes:
        return begun
    if isinstance(outcomes[0], Failure):
        begun.addErrback(lambda _: None)   # it is raised instead
        outcomes[0].raiseException()
    return None


def all_up(begun: list[Eventually]) -> Eventually:
    """One for all of `begun`, which services returned when they were told to start.

    None if all are up, else a Deferred that fires when they are; it fails as soon as one does, with that failure.
    """
    pending = [one for one in begun if isinstance(one, Deferred)]
    if not pending:
        return None
    return gatherResults(pending, consumeErrors=True).addErrback(_first)


def _first(failure: Failure[Any]) -> Failure[Any]:
    """The failure itself of the service that failed first."""
    if isinstance(failure.value, FirstError):
        return failure.value.subFailure
    return failure


class Process:
    """How the process of an application is to run: user and group numbers, and its name; None: as it does."""

    processName: str | None = None

    def __init__(self, uid: int | None = None, gid: int | None = None) -> None:
        self.uid = uid
        self.gid = gid


class Application(MultiService, Process):
    """A program made of services, which the command `ropewalk` runs: `application`, in the file of `-y`.

    name: of the program; uid, gid: the user and the group that it runs as once ports are bound.
    """

    def __init__(self, name: str, uid: int | None = None, gid: int | None = None) -> None:
        MultiService.__init__(self)
        Process.__init__(self, uid, gid)
        self.setName(name)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"


def loadApplication(filename: str, kind: str = "python") -> Any:
    """The variable `application` of the file `filename`; the file is executed as the main program.

    kind: "python"; of Twisted's others, which are pickles, there is none. Raises ValueError for these, and what
    ropewalk.application.app.execute() does; KeyError if the file has no such variable.
    """
    if kind != "python":
        raise ValueError(f"{filename} cannot be loaded as {kind!r}: an application is a Python file (kind='python')")
    from ropewalk.application.app import execute

    return execute(filename)["application"]
