"""What Twisted's option -r finds: an installer for each of our reactors, ropewalk-epoll and so on.

src/twisted/plugins/ropewalk_reactors.py shows them to Twisted.
"""

from __future__ import annotations

from twisted.application.reactors import IReactorInstaller
from twisted.plugin import IPlugin
from zope.interface import implementer

from ropewalk.internet import main
from ropewalk.twisted import install, reactor_class


@implementer(IPlugin, IReactorInstaller)
class Installer:
    """Installs the reactor `name`. description: what that is."""

    def __init__(self, name: str, description: str) -> None:
        self.shortName = f"ropewalk-{name}"
        self.description = description
        self._name = name

    @property
    def moduleName(self) -> str:
        """A module that can be imported: `--help-reactors` tries. Raises ReactorNotAvailableError, which it prints."""
        reactor_class(self._name)
        return "ropewalk.twisted"

    def install(self) -> None:
        """See ropewalk.twisted.install()."""
        install(self._name)


def installers() -> dict[str, Installer]:
    """An installer for every reactor that has a name, those that cannot be used here too; by the classes' names."""
    return {named.reactor: Installer(named.name, f"Ropewalk's, by {named.about}") for named in main.names()}
