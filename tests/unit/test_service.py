"""Services and what is made of them: names, parents, starting and stopping."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from ropewalk.application.service import (
    Application,
    IProcess,
    IService,
    IServiceCollection,
    MultiService,
    Service,
    all_up,
    at_once,
)
from ropewalk.internet.defer import Deferred, fail, succeed


def outcomes(deferred: Deferred[Any]) -> list[Any]:
    """What has come out of `deferred` so far: nothing, or one result or Failure."""
    found: list[Any] = []
    deferred.addBoth(found.append)
    return found


class Noting(Service):
    """Notes in a list what it is told; start, stop: what these return."""

    def __init__(self, events: list[str], name: str = "", start: Any = None, stop: Any = None) -> None:
        self._events = events
        self._start = start
        self._stop = stop
        if name:
            self.setName(name)

    def privilegedStartService(self) -> Any:
        self._events.append(f"{self.name} privileged")
        return super().privilegedStartService()

    def startService(self) -> Any:
        super().startService()
        self._events.append(f"{self.name} start")
        return self._start

    def stopService(self) -> Any:
        super().stopService()
        self._events.append(f"{self.name} stop")
        return self._stop


class Broken(Service):
    def startService(self) -> Any:
        raise ZeroDivisionError("made to fail")

    stopService = startService


def test_a_service_runs_from_its_start_to_its_stop() -> None:
    service = Service()
    assert not service.running
    assert service.privilegedStartService() is None
    assert service.startService() is None
    assert service.running
    assert service.stopService() is None
    assert not service.running


def test_services_are_found_in_their_order_and_by_name() -> None:
    whole = MultiService()
    first, second = Service(), Service()
    second.setName("second")
    first.setServiceParent(whole)
    second.setServiceParent(whole)
    assert list(whole) == [first, second]
    assert whole.getServiceNamed("second") is second
    assert first.parent is whole
    with pytest.raises(KeyError):
        whole.getServiceNamed("first")


def test_a_service_with_a_parent_cannot_be_named() -> None:
    service = Service()
    service.setServiceParent(MultiService())
    with pytest.raises(RuntimeError, match="cannot be named"):
        service.setName("late")


def test_two_services_of_one_name_cannot_have_one_parent() -> None:
    whole = MultiService()
    Noting([], "same").setServiceParent(whole)
    second = Noting([], "same")
    with pytest.raises(RuntimeError, match="'same' already"):
        second.setServiceParent(whole)
    assert second.parent is None
    assert len(list(whole)) == 1


def test_a_service_that_gets_another_parent_leaves_the_one_before() -> None:
    before, after = MultiService(), MultiService()
    service = Noting([], "it")
    service.setServiceParent(before)
    service.setServiceParent(after)
    assert list(before) == []
    assert list(after) == [service]
    Noting([], "it").setServiceParent(before)   # its name is free again


def test_a_service_that_is_none_of_its_parents_cannot_be_removed() -> None:
    with pytest.raises(ValueError, match="not in list"):
        MultiService().removeService(Service())


def test_services_are_started_in_their_order_and_stopped_in_reverse() -> None:
    events: list[str] = []
    whole = MultiService()
    for name in ("a", "b"):
        Noting(events, name).setServiceParent(whole)
    whole.privilegedStartService()
    whole.startService()
    whole.stopService()
    assert events == ["a privileged", "b privileged", "a start", "b start", "b stop", "a stop"]


def test_a_service_that_comes_to_a_running_parent_is_started_and_stopped_when_it_leaves() -> None:
    events: list[str] = []
    whole = MultiService()
    whole.startService()
    stopped: Deferred[None] = Deferred()
    service = Noting(events, "late", stop=stopped)
    service.setServiceParent(whole)
    assert events == ["late privileged", "late start"]
    assert service.disownServiceParent() is stopped
    assert events[-1] == "late stop"
    assert service.parent is None


def test_a_service_that_cannot_be_started_late_stays_with_its_parent() -> None:
    whole = MultiService()
    whole.startService()
    broken = Broken()
    with pytest.raises(ZeroDivisionError):
        broken.setServiceParent(whole)
    assert list(whole) == [broken]
    assert broken.parent is whole


def test_what_a_start_raises_leaves_the_start_of_the_whole() -> None:
    whole = MultiService()
    Broken().setServiceParent(whole)
    with pytest.raises(ZeroDivisionError):
        whole.startService()


def test_a_start_is_done_when_all_services_are_up() -> None:
    whole = MultiService()
    slow: Deferred[None] = Deferred()
    Noting([], "slow", start=slow).setServiceParent(whole)
    Noting([], "quick").setServiceParent(whole)
    started = whole.startService()
    assert started is not None
    done = outcomes(started)
    assert done == []
    slow.callback(None)
    assert len(done) == 1


def test_a_start_fails_with_the_error_of_the_service_that_failed() -> None:
    inner, whole = MultiService(), MultiService()
    inner.setServiceParent(whole)
    Noting([], "bad", start=fail(ZeroDivisionError("made to fail"))).setServiceParent(inner)
    started = whole.startService()
    assert started is not None
    (failure,) = outcomes(started)
    assert failure.check(ZeroDivisionError)


def test_a_stop_waits_for_every_service_even_if_one_fails(caplog: pytest.LogCaptureFixture) -> None:
    whole = MultiService()
    slow: Deferred[None] = Deferred()
    Noting([], "slow", stop=slow).setServiceParent(whole)
    Broken().setServiceParent(whole)
    with caplog.at_level(logging.ERROR):
        done = outcomes(whole.stopService())
        assert done == []
        slow.callback(None)
        assert [succeeded for succeeded, _ in done[0]] == [False, True]
        del done[0]
    assert "ZeroDivisionError" in caplog.text


def test_an_application_is_service_collection_and_process() -> None:
    application = Application("web", uid=1, gid=2)
    assert (application.name, application.uid, application.gid, application.processName) == ("web", 1, 2, None)
    for interface in (IService, IServiceCollection, IProcess):
        assert isinstance(application, interface)
        assert interface(application) is application


def test_a_cast_to_an_interface_that_an_object_lacks_says_so() -> None:
    with pytest.raises(TypeError, match="is no IServiceCollection"):
        IServiceCollection(Service())


def test_a_class_may_say_that_it_has_an_interface() -> None:
    class Mine(Service, IService):
        pass

    assert isinstance(Mine(), IService)


def test_nothing_is_waited_for_when_all_are_up() -> None:
    assert all_up([]) is None
    assert all_up([None, None]) is None


def test_what_is_up_at_once_is_not_waited_for_and_what_failed_at_once_is_raised() -> None:
    pending: Deferred[None] = Deferred()
    assert at_once(succeed(1)) is None
    assert at_once(pending) is pending
    with pytest.raises(ZeroDivisionError):
        at_once(fail(ZeroDivisionError()))
