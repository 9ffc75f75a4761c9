"""The installed reactor.

Once a reactor is installed, this module's name stands for that object; so this file is run only when something
imports the reactor before one was installed. It installs the default.
"""

import sys

del sys.modules[__name__]
from ropewalk.internet import default  # noqa: E402

default.install()
