"""Names of hosts as TLS has them, and the patterns of certificates: see ropewalk.transports.host_names."""

from __future__ import annotations

from ropewalk.transports.host_names import ascii_name, server_name

__all__ = ["is_address", "pattern", "patterns_for", "server_name"]


def is_address(name: str) -> bool:
    """Whether `name`, as server_name() returns it, is an IP address, which is never sent to the server (RFC 6066)."""
    return ":" in name or name.rpartition(".")[2].isdigit()


def pattern(text: str) -> str:
    """`text`, the name of a host or '*.' and one, as the certificates of servers have them (RFC 6125, 6.4.3).

    The '*' stands for exactly one label. Raises ValueError for anything else, such as 'f*.example.org'.
    """
    if text.startswith("*."):
        return "*." + ascii_name(text[2:])
    return ascii_name(text)


def patterns_for(name: str) -> tuple[str, ...]:
    """The patterns that fit the name of a host, the one to be preferred first: itself, and with '*' as first label."""
    _, dot, rest = name.partition(".")
    return (name, f"*.{rest}") if dot else (name,)
