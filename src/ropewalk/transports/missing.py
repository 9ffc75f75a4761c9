"""What some systems lack, Windows above all, and what a program uses there instead: one sentence for each."""

from __future__ import annotations

_INSTEAD = {
    "UNIX sockets": (
        "use TCP on 127.0.0.1 (listenTCP, connectTCP, tcp:8000:interface=127.0.0.1), and for datagrams UDP there"
    ),
    "pseudo terminals": "start the program with pipes, without usePTY",
    "numbers of users and groups": "start the program by runas.exe, or as a service that runs as another user",
    "inotify": "compare what os.scandir() finds, by a LoopingCall",
    "ancillary data": "hand sockets over by socket.share() and socket.fromshare()",
    "mode in which reads of a descriptor return at once": (
        "sockets have setblocking(), standard input and output StandardIO; read everything else by deferToThread()"
    ),
}


def missing(what: str) -> str:
    """That this system lacks `what`, a key of the table, and what to use."""
    return f"this system has no {what}: {_INSTEAD[what]}"
