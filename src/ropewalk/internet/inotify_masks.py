"""The events of inotify(7) and the flags of a watch: numbers of the kernel's, names as in twisted.internet.inotify."""

from __future__ import annotations

IN_ACCESS = 0x00000001   # a file was read
IN_MODIFY = 0x00000002   # a file was written or cut
IN_ATTRIB = 0x00000004   # its mode, owner, times or links changed
IN_CLOSE_WRITE = 0x00000008   # a file that was open for writing was closed
IN_CLOSE_NOWRITE = 0x00000010   # one that was not
IN_OPEN = 0x00000020
IN_MOVED_FROM = 0x00000040   # the old name of what was renamed
IN_MOVED_TO = 0x00000080   # the new one
IN_CREATE = 0x00000100
IN_DELETE = 0x00000200
IN_DELETE_SELF = 0x00000400   # the watched path itself is gone
IN_MOVE_SELF = 0x00000800   # it was renamed
IN_UNMOUNT = 0x00002000   # its file system was
IN_Q_OVERFLOW = 0x00004000   # events were lost
IN_IGNORED = 0x00008000   # the watch has ended

IN_ONLYDIR = 0x01000000   # what follows is for watch(): nothing but a directory
IN_DONT_FOLLOW = 0x02000000   # the symbolic link itself
IN_MASK_ADD = 0x20000000   # add to the mask that the path has; always done
IN_ISDIR = 0x40000000   # told: it happened to a directory
IN_ONESHOT = 0x80000000   # end after one event

IN_CLOSE = IN_CLOSE_WRITE | IN_CLOSE_NOWRITE
IN_MOVED = IN_MOVED_FROM | IN_MOVED_TO
IN_CHANGED = IN_MODIFY | IN_ATTRIB
IN_WATCH_MASK = (
    IN_CHANGED | IN_MOVED | IN_CREATE | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT
)  # fmt: skip

_NAMES = {
    IN_ACCESS: "access",
    IN_MODIFY: "modify",
    IN_ATTRIB: "attrib",
    IN_CLOSE_WRITE: "close_write",
    IN_CLOSE_NOWRITE: "close_nowrite",
    IN_OPEN: "open",
    IN_MOVED_FROM: "moved_from",
    IN_MOVED_TO: "moved_to",
    IN_CREATE: "create",
    IN_DELETE: "delete",
    IN_DELETE_SELF: "delete_self",
    IN_MOVE_SELF: "move_self",
    IN_UNMOUNT: "unmount",
    IN_Q_OVERFLOW: "queue_overflow",
    IN_IGNORED: "ignored",
    IN_ONLYDIR: "only_dir",
    IN_DONT_FOLLOW: "dont_follow",
    IN_MASK_ADD: "mask_add",
    IN_ISDIR: "is_dir",
    IN_ONESHOT: "one_shot",
}


def humanReadableMask(mask: int) -> list[str]:
    """The names of the bits of `mask`, such as ["create", "is_dir"]. Twisted's humanReadableMask."""
    return [name for bit, name in _NAMES.items() if mask & bit]
