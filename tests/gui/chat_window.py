"""A chat window of the examples, as a child process of a test: run as it stands, and asked over standard I/O.

python chat_window.py PROGRAM ARGUMENTS. It says "runs" once the reactor does, and so the window is there. The line
"lines" is answered by what the window lists, as JSON; "focused" by whether it takes what is typed; "stop" stops the
reactor.
"""

from __future__ import annotations

import json
import runpy
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def answer() -> None:
    import chatlogic

    orders: dict[str, Callable[[Any], object]] = {
        "lines": lambda chat: print(json.dumps(chat.view.lines()), flush=True),
        "focused": lambda chat: print(json.dumps(focused()), flush=True),
        "stop": lambda chat: chat.reactor.stop(),
    }
    while not chatlogic.OPEN:
        time.sleep(0.01)
    (chat,) = chatlogic.OPEN
    chat.reactor.callFromThread(print, "runs", flush=True)
    for order in sys.stdin:
        chat.reactor.callFromThread(orders[order.strip()], chat)


def focused() -> bool:
    """SDL drops what is typed until it has taken note of its focus, which it does when it looks for events."""
    if "pygame" in sys.modules:
        return bool(sys.modules["pygame"].key.get_focused())
    if "sdl2" in sys.modules:   # PyUI's
        return bool(sys.modules["sdl2"].SDL_GetKeyboardFocus())
    return True


program = Path(sys.argv[1])
sys.path.insert(0, str(program.parent))
sys.argv = sys.argv[1:]
threading.Thread(target=answer, daemon=True).start()
runpy.run_path(str(program), run_name="__main__")
