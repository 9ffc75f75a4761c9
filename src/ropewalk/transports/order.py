"""What a program is to be started with: the arguments of spawnProcess(), checked, on every system."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

Text = str | bytes


class Order(NamedTuple):
    """What is to be started."""

    executable: bytes
    args: list[bytes]
    env: dict[bytes, bytes] | None
    """None: ours."""
    path: bytes | None
    """The folder it starts in; None: ours."""
    identity: Any
    """Whom it runs as, as the system's identity() tells; None: as we do."""
    descriptors: Mapping[int, int]
    """What is open in the child: its number there, and ours."""
    terminal: bool
    """Whether its descriptor 0 is a terminal, which it gets a session of its own for."""

    @classmethod
    def of(
        cls,
        executable: Text,
        args: Sequence[Text],
        env: Mapping[Text, Text] | None,
        path: Text | None,
        identity: Any,
        descriptors: Mapping[int, int],
        terminal: bool = False,
    ) -> Order:
        """An order in bytes. Raises TypeError for what is no text, ValueError for a text that no program can get."""
        if isinstance(args, str | bytes):
            raise TypeError(f"the arguments of a program are a sequence, with its name first; not {args!r}")
        return cls(
            _encoded(executable),
            [_encoded(arg) for arg in args] or [_encoded(executable)],
            None if env is None else {_name(key): _encoded(value) for key, value in env.items()},
            None if path is None else _encoded(path),
            identity,
            descriptors,
            terminal,
        )


def _encoded(text: Text) -> bytes:
    try:
        encoded = os.fsencode(text)
    except TypeError:
        raise TypeError(f"a program is given text or bytes, not {text!r}") from None
    if b"\0" in encoded:
        raise ValueError(f"no program can get a text with a zero byte: {text!r}")
    return encoded


def _name(text: Text) -> bytes:
    encoded = _encoded(text)
    if b"=" in encoded:
        raise ValueError(f"an environment variable cannot be called {text!r}")
    return encoded
