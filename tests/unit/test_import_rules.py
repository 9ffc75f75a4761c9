"""Who may import whom: the table of docs/design.md, read off the source."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import ropewalk

PACKAGE = Path(ropewalk.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

EVERYBODY = {"interfaces", "errors"}
MAY_IMPORT = {
    "interfaces": set(),
    "errors": set(),
    "pollers": {"pollers"},
    "hosts": {"hosts"},
    "transports": {"transports"},
    "core": {"core", "transports"},
    "internet": {"internet", "core", "transports"},
    "protocols": {"protocols", "internet"},
    "application": {"application", "internet", "protocols"},
    "twisted": {"twisted", "internet"},
    "testing": {"testing", "internet"},
    "__init__": {"internet"},
    "__main__": {"application"},
}
ALSO = {
    "internet/endpoints.py": {"protocols"},   # the PROXY parser of haproxy: endpoints
    "twisted/declarations.py": {"core", "transports"},   # Twisted's interfaces, declared of our classes from outside
    "twisted/ports.py": {"transports"},   # ports, streams and a reactor that derive from ours
    "twisted/streams.py": {"transports"},
    "twisted/reactors.py": {"core", "transports"},
    "twisted/variants.py": {"transports"},   # which of them stands in for which of ours
    "twisted/tls.py": {"transports"},   # Twisted's TLS over our streams
    "twisted/processes.py": {"transports"},   # Twisted's processes, watched as ours are
    "testing/lines.py": {"protocols"},   # Twisted's LineSendingProtocol is a LineReceiver
    "testing/pairs.py": {"transports"},   # the real transports, over channels in memory
    "testing/reactors.py": {"transports"},   # the real connector, which the test drives
    "testing/pytest_plugin.py": {"core"},   # reactors by name
    "testing/contract/forwarding.py": {"protocols"},   # port forwarding is a part of the contract
    "testing/contract/policies.py": {"protocols"},   # and so are policies
    "testing/contract/services.py": {"application"},   # and services
    "testing/contract/socks.py": {"protocols"},   # and SOCKS
    "testing/contract/proxying.py": {"protocols"},   # and the PROXY protocol
    "testing/contract/tls_endpoints.py": {"protocols"},   # and TLS behind it
    "testing/contract/lines.py": {"protocols"},   # and line receivers
    "testing/contract/file_sending.py": {"protocols"},   # and FileSender
}
THIRD_PARTY = {
    "application": {"click"}, "__main__": {"click"}, "twisted": {"twisted", "zope"},
    "testing": {"cryptography", "pytest"},
}  # fmt: skip
TOOLKITS = "hosts"   # a toolkit is imported inside its host
NAMES_PARTS = "core/choose.py"   # alone names concrete hosts and pollers, in strings


def inside(file: Path) -> str:
    return file.relative_to(PACKAGE).as_posix()


def room(path: str) -> str:
    return path.partition("/")[0].removesuffix(".py")


def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"), str(file))


def imported(file: Path) -> Iterator[str]:
    """The modules that `file` imports, anywhere in it; `ropewalk.errors` for `from ropewalk import errors`."""
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}, line {node.lineno}: imports are absolute"
            assert node.module is not None
            if node.module == "ropewalk":
                yield from (f"ropewalk.{alias.name}" for alias in node.names)
            else:
                yield node.module


def ours(file: Path) -> Iterator[str]:
    """The rooms of ours that `file` imports from."""
    for module in imported(file):
        top, _, rest = module.partition(".")
        if top == "ropewalk" and rest and rest != "__version__":
            yield rest.partition(".")[0]


@pytest.mark.parametrize("file", FILES, ids=inside)
def test_a_file_imports_only_from_the_rooms_that_its_own_may_enter(file: Path) -> None:
    path = inside(file)
    allowed = EVERYBODY | MAY_IMPORT[room(path)] | ALSO.get(path, set())
    if path == "core/timers.py":
        allowed = set()
    if room(path) in EVERYBODY:
        allowed = set()
    assert set(ours(file)) <= allowed


@pytest.mark.parametrize("file", FILES, ids=inside)
def test_a_file_imports_nothing_but_the_standard_library_unless_its_room_is_for_that(file: Path) -> None:
    here = room(inside(file))
    others = {module.partition(".")[0] for module in imported(file)} - {"ropewalk", *sys.stdlib_module_names}
    assert here == TOOLKITS or others <= THIRD_PARTY.get(here, set())


@pytest.mark.parametrize("file", FILES, ids=inside)
def test_only_choose_names_concrete_pollers_and_hosts(file: Path) -> None:
    if inside(file) == NAMES_PARTS or room(inside(file)) in ("pollers", "hosts"):
        return
    texts = [node.value for node in ast.walk(tree(file)) if isinstance(node, ast.Constant)]
    assert not [text for text in texts if isinstance(text, str) and text.startswith(("ropewalk.poll", "ropewalk.host"))]


def test_every_exception_from_the_table_is_needed() -> None:
    for path, rooms in ALSO.items():
        if path == "internet/endpoints.py":   # it may, once there is a PROXY parser
            continue
        assert rooms <= set(ours(PACKAGE / path))
