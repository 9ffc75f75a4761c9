"""The bare peer: the system calls from Python, no library; `python -m benchmarks.bare WORKLOAD ARGUMENT ...`.

It is what a loop in Python can reach at most: nothing is looked after that a program would need. The workloads are
udp and files; their arguments and what they print are those of benchmarks.child.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys

from benchmarks.child import send_files

LARGEST = 8192
PORTION = 1 << 30


def serve_udp_echo(count: int) -> None:
    """Echo on `count` ports, one recvfrom an event; level-triggered."""
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
    poller = select.epoll()
    for each in sockets:
        each.setblocking(False)
        each.bind(("127.0.0.1", 0))
        poller.register(each, select.EPOLLIN)
    print(*(each.getsockname()[1] for each in sockets), flush=True)
    verbs = {each.fileno(): (each.recvfrom, each.sendto) for each in sockets}
    while True:
        for fd, _ in poller.poll():
            receive, send = verbs[fd]
            data, address = receive(LARGEST)
            send(data, address)


def send_file(path: str, port: int) -> None:
    """Send the file by blocking calls of os.sendfile."""
    with open(path, "rb") as file, socket.create_connection(("127.0.0.1", port)) as connection:
        offset = 0
        while sent := os.sendfile(connection.fileno(), file.fileno(), offset, PORTION):
            offset += sent


def main() -> None:
    workload, *arguments = sys.argv[1:]
    if workload == "udp":
        serve_udp_echo(int(arguments[0]))
    else:
        print(json.dumps(send_files(send_file, int(arguments[0]), arguments[1:])))


if __name__ == "__main__":
    main()
