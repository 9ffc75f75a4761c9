"""What systemd's variables say of the descriptors that a process was passed."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from ropewalk.internet.systemd import ListenFDs

ME = str(os.getpid())
FAR = 100_000   # where this process has no descriptors


def variables(**changed: str | None) -> dict[str, str]:
    """What systemd sets for three sockets; a variable that is changed to None is not there."""
    all_of_them = {"LISTEN_PID": ME, "LISTEN_FDS": "3", "LISTEN_FDNAMES": "http:admin:http", "PATH": "/bin"} | changed
    return {name: value for name, value in all_of_them.items() if value is not None}


def test_the_descriptors_begin_with_3_and_have_names() -> None:
    found = ListenFDs.fromEnvironment(variables())
    assert found.inheritedDescriptors() == [3, 4, 5]
    assert found.inheritedNamedDescriptors() == {"http": 5, "admin": 4}
    assert found.named("http") == [3, 5]
    assert found.named("other") == []


def test_they_may_begin_elsewhere() -> None:
    assert ListenFDs.fromEnvironment(variables(), FAR).inheritedDescriptors() == [FAR, FAR + 1, FAR + 2]


@pytest.mark.parametrize("names", [None, ""])
def test_a_launcher_may_leave_the_names_out(names: str | None) -> None:
    found = ListenFDs.fromEnvironment(variables(LISTEN_FDNAMES=names))
    assert found.inheritedDescriptors() == [3, 4, 5]
    assert found.inheritedNamedDescriptors() == {}


def test_what_was_found_is_taken_out_of_the_environment() -> None:
    environ = variables()
    ListenFDs.fromEnvironment(environ, FAR)
    assert environ == {"PATH": "/bin"}
    assert ListenFDs.fromEnvironment(environ, FAR).inheritedDescriptors() == []


@pytest.mark.parametrize(
    "changed", [{"LISTEN_PID": None}, {"LISTEN_PID": "1"}, {"LISTEN_FDS": None}, {"LISTEN_FDS": "0"}]
)
def test_there_is_nothing_unless_the_variables_speak_of_this_process(changed: dict[str, str | None]) -> None:
    environ = variables(**changed, LISTEN_FDNAMES=None)
    found = ListenFDs.fromEnvironment(environ)
    assert found.inheritedDescriptors() == []
    assert found.inheritedNamedDescriptors() == {}
    assert environ == variables(**changed, LISTEN_FDNAMES=None)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"LISTEN_PID": "me"}, "LISTEN_PID is to be a number from 0 to 2147483647, not 'me'"),
        ({"LISTEN_PID": ""}, "LISTEN_PID is"),
        ({"LISTEN_FDS": ""}, "LISTEN_FDS is"),
        ({"LISTEN_FDS": "-1"}, "LISTEN_FDS is"),
        ({"LISTEN_FDS": "3 "}, "LISTEN_FDS is"),
        ({"LISTEN_FDS": "\u0663"}, "LISTEN_FDS is"),
        ({"LISTEN_FDS": "2147483647"}, "LISTEN_FDS is to be a number from 0 to 1048576, not '2147483647'"),
        ({"LISTEN_FDS": "9" * 5000}, "LISTEN_FDS is"),
        ({"LISTEN_FDNAMES": "http:admin"}, "LISTEN_FDS says 3, but LISTEN_FDNAMES names others: 'http:admin'"),
        ({"LISTEN_FDNAMES": "http:admin:a:b"}, "LISTEN_FDS says 3, but"),
        ({"LISTEN_FDS": "0"}, "LISTEN_FDS says 0, but"),
    ],
)
def test_what_cannot_be_right_is_a_ValueError_and_takes_nothing(changed: dict[str, str], said: str) -> None:
    environ = variables(**changed)
    with pytest.raises(ValueError, match=f"^{said}"):
        ListenFDs.fromEnvironment(environ, FAR)
    assert environ == variables(**changed)


@pytest.fixture
def passed() -> Iterator[socket.socket]:
    with socket.socket() as made:
        os.set_inheritable(made.fileno(), True)
        yield made


def test_children_do_not_inherit_the_descriptors(passed: socket.socket) -> None:
    ListenFDs.fromEnvironment(variables(LISTEN_FDS="1", LISTEN_FDNAMES=None), passed.fileno())
    assert not os.get_inheritable(passed.fileno())


def test_descriptors_are_left_as_they_are_when_the_variables_are_not_right(passed: socket.socket) -> None:
    with pytest.raises(ValueError, match="LISTEN_FDNAMES"):
        ListenFDs.fromEnvironment(variables(LISTEN_FDS="1", LISTEN_FDNAMES="a:b"), passed.fileno())
    assert os.get_inheritable(passed.fileno())


def test_a_descriptor_that_is_not_open_does_not_hide_the_others(passed: socket.socket) -> None:
    found = ListenFDs.fromEnvironment(variables(LISTEN_FDS="2", LISTEN_FDNAMES=None), FAR)
    assert found.inheritedDescriptors() == [FAR, FAR + 1]
