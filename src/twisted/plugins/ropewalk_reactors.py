"""The reactors of Ropewalk for Twisted's option -r: `twistd -r ropewalk-epoll`, `trial --reactor ropewalk-epoll`.

Twisted looks for plugins in folders of this name, wherever Python looks for packages. There must be no __init__.py in
them: they are Twisted's.
"""

from ropewalk.twisted.plugin import installers

globals().update(installers())
