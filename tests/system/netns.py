"""Two hosts on one machine: network namespaces that a veth pair joins, and the programs that run in them.

* A namespace that ip(8) has made outlives its maker. So its name has the maker's process id, and who comes next removes
  those of the dead. The interfaces go with the last process in it.
* Both ends of the pair are made inside the namespaces: nothing of it shows in our own. An address with nodad can be
  used at once.
* A link that is down says so to both ends: on the side that took it down the addresses of IPv6 and the routes go.
  Silent loss is another thing. Few kernels have netem, all have neighbours: what goes to a hardware address that nobody
  has is dropped at the other end without a word.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PATIENCE = 20.0   # seconds that a program may take to say what is expected of it
_PREFIX = "ropewalk"
_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])   # of ip and tc
_NOBODY = "02:00:00:00:00:99"
_PROGRAMS = Path(__file__).with_name("network_programs.py")


class Unavailable(Exception):
    """This machine cannot have what was asked for; the text says what is missing."""


class Network:
    """Two hosts, `left` and `right`, with a link between them.

    A context manager: they are there inside, and whatever happens, not afterwards. Entering raises Unavailable.
    """

    def __init__(self) -> None:
        self.left = Host("left", 1)
        self.right = Host("right", 2)
        self._hosts = (self.left, self.right)

    def __enter__(self) -> Network:
        if shutil.which("ip", path=_PATH) is None:
            raise Unavailable("ip is not installed (Debian's package iproute2)")
        remove_left_behind()
        try:
            for host in self._hosts:
                _run("ip", "netns", "add", host.name)
            ends = [f"{host.device} index {host.index} netns {host.name}" for host in self._hosts]
            _run("ip", *f"link add {ends[0]} type veth peer name {ends[1]}".split())
            for host in self._hosts:
                _run("ip", "netns", "exec", host.name, "true")
                host.ip("link set lo up")
                host.ip(f"link set {host.device} addrgenmode none")
                host.mend()
        except Unavailable as error:
            self._remove()
            raise Unavailable(f"network namespaces cannot be made here: {error}") from None
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._remove()

    def end_programs(self) -> None:
        """Let every program end; AssertionError if one has more to say, complains or fails."""
        for host in self._hosts:
            for program in host.programs:
                program.end()

    def both_ways(self) -> tuple[tuple[Host, Host], tuple[Host, Host]]:
        """Each host with the other."""
        return (self.left, self.right), (self.right, self.left)

    def _remove(self) -> None:
        for host in self._hosts:
            host.remove()


class Host:
    """One of the two. number: the last part of its addresses.

    name: the namespace's; device, index: its end of the link; ipv4, ipv6, local: its addresses. The last one is
    link-local and has no zone, which is another on each host.
    """

    def __init__(self, side: str, number: int) -> None:
        self.name = f"{_PREFIX}-{os.getpid()}-{side}"
        self.device = f"{side}0"
        self.index = 70 + number
        self.ipv4 = f"10.77.0.{number}"
        self.ipv6 = f"fd77::{number}"
        self.local = f"fe80::{number}"
        self.programs: list[Program] = []

    def ip(self, command: str) -> None:
        """Run ip(8) in it."""
        _run("ip", "-n", self.name, *command.split())

    def tc(self, command: str) -> None:
        """Run tc(8) in it. Raises Unavailable, for the kernel may lack what is asked for."""
        if shutil.which("tc", path=_PATH) is None:
            raise Unavailable("tc is not installed (Debian's package iproute2)")
        _run("tc", "-n", self.name, *command.split())

    def set(self, name: str, value: object) -> None:
        """Set a kernel parameter of it; name: as net/ipv4/tcp_syn_retries."""
        _run("ip", "netns", "exec", self.name, "sh", "-c", f"echo {value} > /proc/sys/{name}")

    def start(self, program: str, *arguments: object, reactor: str = "default") -> Program:
        """Start a program of network_programs.py in it."""
        started = Program(["ip", "netns", "exec", self.name], program, [str(one) for one in arguments], reactor)
        self.programs.append(started)
        return started

    # -- faults

    def cut(self) -> None:
        """Take its end of the link down."""
        self.ip(f"link set {self.device} down")

    def mend(self) -> None:
        """Take its end of the link up, with the addresses that it may have lost."""
        self.ip(f"link set {self.device} up")
        self.ip(f"addr replace {self.ipv4}/24 brd + dev {self.device}")
        for address in (self.ipv6, self.local):
            self.ip(f"addr replace {address}/64 dev {self.device} nodad")

    def lose(self, address: str) -> None:
        """What it sends to `address` is lost from now on; nobody is told."""
        self.ip(f"neigh replace {address} lladdr {_NOBODY} nud permanent dev {self.device}")

    def find(self, address: str) -> None:
        """Undo lose(), if need be."""
        with contextlib.suppress(Unavailable):   # a device that was down has forgotten it
            self.ip(f"neigh del {address} dev {self.device}")

    def delay(self, milliseconds: int) -> None:
        """Let all that it sends be on the way for so long. Raises Unavailable on a kernel without netem."""
        try:
            self.tc(f"qdisc replace dev {self.device} root netem delay {milliseconds}ms")
        except Unavailable as error:
            raise Unavailable(f"this kernel has no netem (sch_netem): {error}") from None

    def slow(self, rate: str, burst: int = 32768) -> None:
        """Let it send so much, such as 100mbit, `burst` bytes at once. Raises Unavailable on a kernel without tbf."""
        try:
            self.tc(f"qdisc replace dev {self.device} root tbf rate {rate} burst {burst} limit 1mb")
        except Unavailable as error:
            raise Unavailable(f"this kernel has no token buckets (sch_tbf): {error}") from None

    # -- the end

    def remove(self) -> None:
        """Kill its programs, and remove it."""
        for program in self.programs:
            program.kill()
        self.programs = []
        with contextlib.suppress(Unavailable):
            _run("ip", "netns", "del", self.name)


class Program:
    """A child process that runs a program of network_programs.py, and what it says, line by line."""

    def __init__(self, prefix: list[str], name: str, arguments: list[str], reactor: str) -> None:
        self.name = name
        self._heard = b""
        self._killed = False
        self._errors = tempfile.TemporaryFile()   # noqa: SIM115  it lives as long as the program
        environment = {key: value for key, value in os.environ.items() if not key.startswith("ROPEWALK_")}
        self._process = subprocess.Popen(
            [*prefix, sys.executable, "-W", "error", str(_PROGRAMS), name, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            bufsize=0,
            env=environment | {"ROPEWALK_REACTOR": reactor, "PATH": _PATH},
        )

    def says(self, word: str) -> list[str]:
        """Wait for its next line, which must begin with `word`; the words after that."""
        line = self._line().split()
        assert line[:1] == [word], f"{self.name} said {line}, not {word}\n{self.complaints()}"
        return line[1:]

    def _line(self) -> str:
        assert self._process.stdout is not None
        deadline = time.monotonic() + PATIENCE
        while b"\n" not in self._heard:
            ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"{self.name} said nothing in {PATIENCE} seconds\n{self.complaints()}"
            data = os.read(self._process.stdout.fileno(), 65536)
            assert data, f"{self.name} has ended\n{self.complaints()}"
            self._heard += data
        line, _, self._heard = self._heard.partition(b"\n")
        return line.decode()

    def tell(self, *words: object) -> None:
        """Say that to it."""
        assert self._process.stdin is not None
        self._process.stdin.write((" ".join(map(str, words)) + "\n").encode())

    def complaints(self) -> str:
        """What it wrote to stderr."""
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")

    def end(self) -> None:
        """Let it end, unless it was killed; AssertionError as Network.end_programs()."""
        if self._killed:
            return
        output, _ = self._process.communicate(timeout=PATIENCE)   # the end of its input ends it
        left = (self._heard + output).decode(errors="replace")
        assert (self._process.returncode, left, self.complaints()) == (0, "", ""), self.name

    def kill(self) -> None:
        """Kill it: it cannot say good-bye."""
        self._killed = True
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            assert pipe is not None
            pipe.close()


def namespaces() -> list[str]:
    """The names of the namespaces that there are. Raises Unavailable."""
    return [line.split()[0] for line in _run("ip", "netns", "list").splitlines()]


def remove_left_behind() -> None:
    """Remove the namespaces of our own that belong to processes that have died."""
    for name in namespaces():
        prefix, _, rest = name.partition("-")
        pid = rest.partition("-")[0]
        if prefix == _PREFIX and pid.isdecimal() and not os.path.exists(f"/proc/{pid}"):
            with contextlib.suppress(Unavailable):   # somebody else has done it
                _run("ip", "netns", "del", name)


def _run(*command: str) -> str:
    """What the command prints. Raises Unavailable with its complaint if it fails."""
    ended = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PATH": _PATH})
    if ended.returncode:
        raise Unavailable(f"{' '.join(command)}: {ended.stderr.strip() or ended.returncode}")
    return ended.stdout
