"""The face of Ropewalk: the modules that programs import, under the names that Twisted's users know."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:   # at run time the module of that name installs a reactor and gives its place to it
    from ropewalk.internet.base import ReactorBase

    reactor: ReactorBase
