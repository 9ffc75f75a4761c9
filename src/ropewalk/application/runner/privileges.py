"""What the process may do and see: its root folder, its user and its group.

The groups go first, since only root may change them: initgroups(3), setgid(2), setuid(2). With --euid only the
effective ids change, so the program may take its privileges back.
"""

from __future__ import annotations

import os
import sys
from typing import NamedTuple

from ropewalk.application.exits import CommandFailed, Exit
from ropewalk.application.runner.naming import did_you_mean

assert sys.platform != "win32"


class Identity(NamedTuple):
    """Whom the process is to become: numbers; None: what it is."""

    uid: int | None
    gid: int | None


def identity(user: str | None, group: str | None, application: object = None) -> Identity:
    """Whom the options ask for, or where they do not, the attributes uid and gid of the application.

    user, group: names or numbers. The group of a user is that of its account, unless one is asked for. Raises
    CommandFailed if there is no such user or group.
    """
    uid = getattr(application, "uid", None) if user is None else _uid(user)
    gid = getattr(application, "gid", None) if group is None else _gid(group)
    if uid is not None and gid is None:
        gid = _group_of(uid)
    return Identity(uid, gid)


def become(who: Identity, only_effective: bool) -> None:
    """Become `who`. Raises CommandFailed if the system does not allow it."""
    if who == (None, None):
        return
    set_gid, set_uid = (os.setegid, os.seteuid) if only_effective else (os.setgid, os.setuid)
    try:
        if os.geteuid() == 0:
            _set_groups(who)
        if who.gid is not None and who.gid != os.getegid():
            set_gid(who.gid)
        if who.uid is not None and who.uid != os.geteuid():
            set_uid(who.uid)
    except OSError as error:
        raise CommandFailed(
            f"cannot become user {who.uid}, group {who.gid}: {(error.strerror or str(error)).lower()}; "
            "start the command as root, or without --uid and --gid",
            Exit.NO_PERMISSION,
        ) from error


def change_root(folder: str) -> None:
    """Make `folder` the root of the file system. Raises CommandFailed."""
    try:
        os.chroot(folder)
        os.chdir("/")
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        code = Exit.NO_PERMISSION if isinstance(error, PermissionError) else Exit.USAGE
        raise CommandFailed(f"--chroot {folder}: {why}" + _ONLY_ROOT * (code == Exit.NO_PERMISSION), code) from error


_ONLY_ROOT = "; only root may change the root"


def _set_groups(who: Identity) -> None:
    """The further groups of the user, as its login would have them; those of root are nobody else's."""
    import pwd

    if who.gid is None:
        return
    if who.uid is None:
        os.setgroups([who.gid])
        return
    try:
        name = pwd.getpwuid(who.uid).pw_name
    except KeyError:   # a number without an account, as containers have them
        os.setgroups([who.gid])
        return
    os.initgroups(name, who.gid)


def _uid(user: str) -> int:
    import pwd

    if user.isdigit():
        return int(user)
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        near = did_you_mean(user, [row.pw_name for row in pwd.getpwall()])
        raise CommandFailed(f"--uid {user}: there is no such user here{near}", Exit.USAGE) from None


def _gid(group: str) -> int:
    import grp

    if group.isdigit():
        return int(group)
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        near = did_you_mean(group, [row.gr_name for row in grp.getgrall()])
        raise CommandFailed(f"--gid {group}: there is no such group here{near}", Exit.USAGE) from None


def _group_of(uid: int) -> int | None:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_gid
    except KeyError:
        return None
