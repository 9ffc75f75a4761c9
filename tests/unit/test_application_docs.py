"""The examples of docs/application.md do what the page says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ropewalk.application import app
from ropewalk.internet.base import running_as
from ropewalk.internet.protocol import Factory
from ropewalk.testing.reactors import MemoryReactorClock

PAGE = Path(__file__).parents[2] / "docs" / "application.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture
def reactor() -> Iterator[MemoryReactorClock]:
    made = MemoryReactorClock()
    with running_as(made):  # type: ignore[arg-type]
        yield made


def example(reactor: MemoryReactorClock, word: str) -> dict[str, Any]:
    """What the one example that has `word` in it defines."""
    (text,) = [text for text in EXAMPLES if word in text]
    names: dict[str, Any] = {}
    exec(compile(text, str(PAGE), "exec"), names)
    return names


def test_the_application_listens_when_it_is_started(reactor: MemoryReactorClock) -> None:
    application = example(reactor, "hello.tac")["application"]
    assert application.name == "hello"
    example(reactor, "startApplication")["app"].startApplication(application)
    assert reactor.tcpServers[0][0] == 8007


def test_services_are_found_by_name(reactor: MemoryReactorClock) -> None:
    both = example(reactor, "Counter")["both"]
    assert both.getServiceNamed("first").count == 0
    assert not both.running


def test_a_connection_is_kept(reactor: MemoryReactorClock) -> None:
    service = example(reactor, "backoffPolicy")["connection"](reactor, Factory(), "tcp:127.0.0.1:80")
    service.startService()
    reactor.connectors[0].fail()
    reactor.advance(2)
    assert len(reactor.connectors) == 2


def test_a_program_that_is_kept_running_has_a_name(reactor: MemoryReactorClock) -> None:
    assert "'worker'" in repr(example(reactor, "ProcessMonitor")["monitor"])


def test_a_socks_server_listens_for_this_machine(reactor: MemoryReactorClock) -> None:
    names = example(reactor, "SOCKSFactory")
    app.startApplication(names["proxy"])
    assert reactor.tcpServers[0][3] == "127.0.0.1"
    assert not names["rules"].allows("10.0.0.1", 80)


def test_an_application_runs_without_the_command(reactor: MemoryReactorClock) -> None:
    application = example(reactor, "hello.tac")["application"]
    example(reactor, "startApplication")["main"](reactor, application)
    assert reactor.hasRun
    assert reactor.tcpServers
