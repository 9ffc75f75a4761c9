"""The reactor on kqueue(2), the default of macOS, FreeBSD, NetBSD and OpenBSD.

Installation: nothing but Ropewalk. CPython's select module has kqueue wherever the system does; PyKQueue and other
extensions of long ago are not needed. Programs need not choose it, being the default there. One that insists, so that
it fails elsewhere instead of taking another, calls install() before anything imports the reactor:

    from ropewalk.internet import kqreactor
    kqreactor.install()

    from ropewalk.internet import reactor

or gives `-r kqueue` to the command, or sets ROPEWALK_REACTOR=kqueue.

The reactors of GUI toolkits and of CoreFoundation wait by kqueue there, too: their loops watch its descriptor, or a
thread does where that does not work.

What differs from other pollers: a queue does not survive a fork, so a program forks before its reactor is first used
(one that has not been run may be used in the child, too). macOS's kqueue refuses /dev/tty: open the terminal's own
device, which os.ttyname() tells, or use the select or poll reactor. Children are watched by the queue itself, without
SIGCHLD.
"""

from functools import partial

from ropewalk.internet.base import ReactorBase
from ropewalk.internet.main import install_preset


class KQueueReactor(ReactorBase):
    """Our own loop, waiting by kqueue."""

    name = "kqueue"


install = partial(install_preset, KQueueReactor)
