"""A chat window of the examples, as a child process of a test: run as it stands, and asked over standard I/O.

python chat_window.py PROGRAM ARGUMENTS. The line "lines" is answered by what the window lists, as JSON; "stop" stops
the reactor.
"""

from __future__ import annotations

import json
import runpy
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any


def answer() -> None:
    import chatlogic

    orders: dict[str, Callable[[Any], object]] = {
        "lines": lambda chat: print(json.dumps(chat.view.lines()), flush=True),
        "stop": lambda chat: chat.reactor.stop(),
    }
    for order in sys.stdin:
        (chat,) = chatlogic.OPEN
        chat.reactor.callFromThread(orders[order.strip()], chat)


program = Path(sys.argv[1])
sys.path.insert(0, str(program.parent))
sys.argv = sys.argv[1:]
threading.Thread(target=answer, daemon=True).start()
runpy.run_path(str(program), run_name="__main__")
