"""python -m ropewalk: the command `ropewalk`, also from a plain copy of the package."""

from __future__ import annotations

import sys

from ropewalk.application.exits import Exit


def main() -> None:
    """Run the command, or say what it lacks."""
    try:
        import click  # noqa: F401
    except ModuleNotFoundError:
        print("ropewalk: the command needs click, which is not installed: python -m pip install click", file=sys.stderr)
        sys.exit(Exit.UNAVAILABLE)
    from ropewalk.application import cli

    cli.main()


if __name__ == "__main__":
    main()
