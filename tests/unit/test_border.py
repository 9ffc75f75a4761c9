"""What crosses the border between the engine and the program is seen, and nothing else."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from typing import Any

import pytest

from ropewalk.core.reactor import Reactor
from ropewalk.internet.interfaces import IPullProducer, IReadDescriptor
from ropewalk.internet.selectreactor import SelectReactor
from ropewalk.testing.border import Part, Row, Watch, programs_own
from ropewalk.testing.rig import Rig
from ropewalk.testing.watched import Watched


def used(part: Part, call: Callable[[], object], attributes: list[tuple[type, str]] | None = None) -> set[str]:
    """What of `part` is used while `call` runs: 'member' or 'member(argument)'."""
    with Watch([part], attributes or []) as watch:
        call()
    return {row.member + (f"({row.argument})" if row.argument else "") for row in watch.used}


def of_reactors(*members: str) -> Part:
    found = {member: getattr(Reactor, member, None) for member in members}
    signatures = {member: one if inspect.isfunction(one) else None for member, one in found.items()}
    return Part("IReactor", "a reactor", False, signatures, lambda thing: isinstance(thing, Reactor))


def declared(required: Any, /, optional: int = 7, *args: Any, named: str = "", **kwargs: Any) -> None:
    """A signature with every kind of argument."""


class Thing:
    def declared(self, first: Any, second: int = 7, *rest: Any, named: str = "", **more: Any) -> None:
        """As the other one, under names of its own."""


def of_things() -> Part:
    return Part("IThing", "a thing", False, {"declared": with_self}, lambda thing: isinstance(thing, Thing))


def with_self(self: Any, required: Any, optional: int = 7, *args: Any, named: str = "", **kwargs: Any) -> None:
    """The signature that a method has."""


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        (lambda thing: thing.declared(None), {"required"}),
        (lambda thing: thing.declared(1, 7), {"required"}),
        (lambda thing: thing.declared(1, 8), {"required", "optional"}),
        (lambda thing: thing.declared(1, 7, 0), {"required", "args"}),
        (lambda thing: thing.declared(1, named=""), {"required"}),
        (lambda thing: thing.declared(1, named="x"), {"required", "named"}),
        (lambda thing: thing.declared(1, other=None), {"required", "kwargs"}),
    ],
)
def test_an_optional_argument_counts_if_it_is_not_the_default(
    call: Callable[[Thing], None], arguments: set[str]
) -> None:
    expected = {"declared"} | {f"declared({argument})" for argument in arguments}
    assert used(of_things(), lambda: call(Thing())) == expected


def test_only_the_method_of_an_object_that_has_the_interface_counts() -> None:
    class Other:
        def declared(self, required: Any) -> None: ...

    assert used(of_things(), lambda: Other().declared(1)) == set()
    assert used(of_things(), lambda: declared(1)) == set()


def test_what_the_engine_calls_within_itself_does_not_count() -> None:
    reactor = SelectReactor()
    part = of_reactors("callInThread", "getThreadPool", "callWhenRunning", "addSystemEventTrigger")
    assert used(part, lambda: reactor.callWhenRunning(list)) == {"callWhenRunning", "callWhenRunning(callable)"}
    assert used(part, reactor.getThreadPool) == {"getThreadPool"}
    assert used(part, lambda: reactor.callInThread(list, [])) == {
        "callInThread", "callInThread(callable)", "callInThread(args)"
    }  # fmt: skip


def test_an_attribute_counts_when_the_program_reads_it_and_stays_as_it_was() -> None:
    reactor = SelectReactor()
    before = reactor.nameResolver
    part, place = of_reactors("nameResolver", "running"), [(Reactor, "nameResolver")]
    seen: list[Any] = []
    assert used(part, lambda: seen.append(reactor.nameResolver), place) == {"nameResolver"}
    assert used(part, lambda: seen.append(reactor.running), place) == {"running"}
    assert used(part, lambda: reactor.installNameResolver("another"), place) == set()
    assert seen == [before, False]
    assert reactor.nameResolver == "another"
    assert "nameResolver" not in vars(Reactor)


def test_the_call_of_another_thread_counts() -> None:
    reactor = SelectReactor()

    def elsewhere() -> None:
        thread = threading.Thread(target=lambda: reactor.callFromThread(list))
        thread.start()
        thread.join()

    assert used(of_reactors("callFromThread"), elsewhere) == {"callFromThread", "callFromThread(callable)"}


def test_what_the_program_has_counts_when_the_engine_calls_it_and_not_when_the_program_does() -> None:
    methods = {"doRead": IReadDescriptor.doRead, "connectionLost": IReadDescriptor.connectionLost}
    part = Part("IReadDescriptor", "the program", True, methods, programs_own(lambda _: True, methods))

    def read(channel: Any) -> None:
        channel.recv(1)
        rig.reactor.stop()

    with Rig(SelectReactor) as rig:
        here, there = rig.socket_pair()
        reader = Watched(here, read)
        there.send(b"x")
        assert used(part, lambda: reader.connectionLost(None)) == set()
        rig.reactor.addReader(reader)
        assert used(part, rig.run) == {"doRead", "connectionLost", "connectionLost(reason)"}


def test_an_object_of_the_programs_has_an_interface_if_its_methods_can_be_called_so() -> None:
    class Fits:
        def resumeProducing(self, how: str = "") -> None: ...

    class Misfit:
        def resumeProducing(self, how: str) -> None: ...

    methods = {"resumeProducing": IPullProducer.resumeProducing}
    has = programs_own(lambda thing: hasattr(thing, "resumeProducing"), methods)
    assert [has(thing) for thing in (Fits(), Misfit(), object())] == [True, False, False]


def test_an_object_of_the_engines_is_none_of_the_programs() -> None:
    with Rig(SelectReactor) as rig:
        call = rig.reactor.callLater(0, list)
        assert not programs_own(lambda _: True, {})(call)
        call.cancel()


def test_the_optional_arguments_of_a_programs_method_are_not_asked_for() -> None:
    members = {"declared": with_self}
    asked = Part("IThing", "the program", True, members, lambda _: True)
    offered = Part("IThing", "the engine", False, members, lambda _: True)
    assert Row(True, "IThing", "the program", "declared", "required") in asked.rows()
    assert {row.argument for row in asked.rows()} == {"", "required", "args", "kwargs"}
    assert {row.argument for row in offered.rows()} == {"", "required", "optional", "args", "named", "kwargs"}
