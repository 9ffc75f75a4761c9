"""The chat in a window of Qt: python examples/chat/qtchat.py [HOST:PORT [NAME]]"""

from __future__ import annotations

from chatlogic import Chat, arguments
from PySide6.QtWidgets import QApplication, QHBoxLayout, QLineEdit, QListWidget, QPushButton, QVBoxLayout, QWidget

from ropewalk.internet.qtreactor import QtReactor

reactor = QtReactor()


class Window:
    """A list, an entry and a button."""

    def __init__(self) -> None:
        self.chat = Chat(self, reactor, **arguments())
        self.widget = QWidget()
        self.widget.setWindowTitle("Chat: Qt")
        self.widget.resize(480, 360)
        self.list = QListWidget()
        self.entry = QLineEdit()
        self.entry.returnPressed.connect(self.send)
        self.button = QPushButton("Connect")
        self.button.setMinimumWidth(110)
        self.button.clicked.connect(self.chat.toggle)
        row = QHBoxLayout()
        row.addWidget(self.entry)
        row.addWidget(self.button)
        column = QVBoxLayout(self.widget)
        column.addWidget(self.list)
        column.addLayout(row)
        self.widget.show()

    def send(self) -> None:
        if self.chat.say(self.entry.text()):
            self.entry.clear()

    def add_line(self, line: str) -> None:
        self.list.addItem(line)
        self.list.scrollToBottom()

    def show_connected(self, connected: bool) -> None:
        self.button.setText("Disconnect" if connected else "Connect")

    def lines(self) -> list[str]:
        return [self.list.item(row).text() for row in range(self.list.count())]


application = QApplication([])
window = Window()
reactor.run()
