"""The chat in a window of Cocoa, by PyObjC: python examples/cocoa/cocoachat.py [HOST:PORT [NAME]]

Needs a Mac (pip install pyobjc-framework-Cocoa). It has not been run yet: where this project is tested there is none.
NSApplication runs the main run loop, which serves the reactor: attach(). Before the application terminates (its last
window was closed, Cmd-Q, Ctrl-C) the reactor is stopped, and Cocoa waits for that.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import objc
from AppKit import (
    NSApplication,
    NSApplicationActivationPolicyRegular,
    NSBackingStoreBuffered,
    NSButton,
    NSMakeRect,
    NSScrollView,
    NSTerminateLater,
    NSTerminateNow,
    NSTextField,
    NSTextView,
    NSWindow,
    NSWindowStyleMaskClosable,
    NSWindowStyleMaskTitled,
)
from Foundation import NSObject
from PyObjCTools import AppHelper

sys.path.append(str(Path(__file__).parents[1] / "chat"))   # the logic is that of the other windows

from chatlogic import Chat, arguments

from ropewalk.internet import cfreactor

reactor = cfreactor.install()
WIDTH, HEIGHT, ROW, BUTTON = 480, 360, 32, 110


class Window(NSObject):   # type: ignore[misc]   # PyObjC tells no types
    """A list, an entry and a button."""

    def init(self) -> Any:
        self = objc.super(Window, self).init()   # PyObjC's way: init() may return another object
        self.chat = Chat(self, reactor, **arguments())
        self.text = NSTextView.alloc().initWithFrame_(NSMakeRect(0, 0, WIDTH, HEIGHT - ROW))
        self.text.setEditable_(False)
        scrolled = NSScrollView.alloc().initWithFrame_(NSMakeRect(0, ROW, WIDTH, HEIGHT - ROW))
        scrolled.setDocumentView_(self.text)
        self.entry = NSTextField.alloc().initWithFrame_(NSMakeRect(0, 0, WIDTH - BUTTON, ROW))
        self.entry.setTarget_(self)
        self.entry.setAction_(b"send:")
        self.button = NSButton.buttonWithTitle_target_action_("Connect", self, b"toggle:")
        self.button.setFrame_(NSMakeRect(WIDTH - BUTTON, 0, BUTTON, ROW))
        style = NSWindowStyleMaskTitled | NSWindowStyleMaskClosable
        self.window = NSWindow.alloc().initWithContentRect_styleMask_backing_defer_(
            NSMakeRect(0, 0, WIDTH, HEIGHT), style, NSBackingStoreBuffered, False
        )
        for view in (scrolled, self.entry, self.button):
            self.window.contentView().addSubview_(view)
        self.window.setTitle_("Chat: Cocoa")
        self.window.makeKeyAndOrderFront_(None)
        return self

    def send_(self, sender: Any) -> None:
        if self.chat.say(sender.stringValue()):
            sender.setStringValue_("")

    def toggle_(self, sender: Any) -> None:
        self.chat.toggle()

    def applicationShouldTerminateAfterLastWindowClosed_(self, sender: Any) -> bool:
        return True

    def applicationShouldTerminate_(self, sender: Any) -> Any:
        if not reactor.running:
            return NSTerminateNow
        reactor.addSystemEventTrigger("after", "shutdown", sender.replyToApplicationShouldTerminate_, True)
        reactor.stop()
        return NSTerminateLater

    @objc.python_method   # type: ignore[untyped-decorator]
    def add_line(self, line: str) -> None:
        self.text.setString_(self.text.string() + line + "\n")
        self.text.scrollToEndOfDocument_(None)

    @objc.python_method   # type: ignore[untyped-decorator]
    def show_connected(self, connected: bool) -> None:
        self.button.setTitle_("Disconnect" if connected else "Connect")

    @objc.python_method   # type: ignore[untyped-decorator]
    def lines(self) -> list[str]:
        listed: list[str] = self.text.string().splitlines()
        return listed


application = NSApplication.sharedApplication()
application.setActivationPolicy_(NSApplicationActivationPolicyRegular)
window = Window.alloc().init()
application.setDelegate_(window)
reactor.attach()
AppHelper.runEventLoop(installInterrupt=True)
