"""The chat in a window of pygame, which has no widgets: python examples/chat/pygamechat.py [HOST:PORT [NAME]]"""

from __future__ import annotations

import pygame
from chatlogic import Chat, arguments

from ropewalk.internet import pygamesupport, reactor

WIDTH, HEIGHT, ROW, BUTTON = 480, 360, 36, 110
PAPER, INK, GREY = (255, 255, 255), (20, 20, 20), (210, 210, 210)


class Window:
    """A list, an entry and a button, drawn by hand when something has changed."""

    def __init__(self) -> None:
        self.chat = Chat(self, reactor, **arguments())
        self.screen = pygame.display.set_mode((WIDTH, HEIGHT))
        self.font = pygame.font.Font(None, 22)
        self.button = pygame.Rect(WIDTH - BUTTON, HEIGHT - ROW, BUTTON, ROW)
        self.label = "Connect"
        self.typed = ""
        self.listed: list[str] = []
        pygame.display.set_caption("Chat: pygame")
        self.draw()

    def handle(self, event: pygame.event.Event) -> None:
        """An event of pygame's; the network needs none."""
        if event.type == pygame.QUIT:
            reactor.stop()
        elif event.type == pygame.MOUSEBUTTONDOWN and self.button.collidepoint(event.pos):
            self.chat.toggle()
        elif event.type == pygame.TEXTINPUT:
            self.typed += event.text
        elif event.type == pygame.KEYDOWN and event.key == pygame.K_BACKSPACE:
            self.typed = self.typed[:-1]
        elif event.type == pygame.KEYDOWN and event.key in (pygame.K_RETURN, pygame.K_KP_ENTER):
            self.typed = "" if self.chat.say(self.typed) else self.typed
        elif event.type not in (pygame.WINDOWEXPOSED, pygame.KEYDOWN):
            return
        self.draw()

    def draw(self) -> None:
        self.screen.fill(PAPER)
        pygame.draw.rect(self.screen, GREY, self.button)
        pygame.draw.line(self.screen, GREY, (0, HEIGHT - ROW), (WIDTH, HEIGHT - ROW), 2)
        self.write(self.label, self.button.x + 12, self.button.y + 10)
        self.write(self.typed + "|", 8, self.button.y + 10)
        height = self.font.get_linesize() + 2
        for place, line in enumerate(self.shown()):
            self.write(line, 8, 4 + place * height)
        pygame.display.flip()

    def write(self, text: str, x: int, y: int) -> None:
        self.screen.blit(self.font.render(text, True, INK), (x, y))

    def shown(self) -> list[str]:
        """The lines that there is room for."""
        return self.listed[-((HEIGHT - ROW) // (self.font.get_linesize() + 2)) :]

    def add_line(self, line: str) -> None:
        self.listed.append(line)
        self.draw()

    def show_connected(self, connected: bool) -> None:
        self.label = "Disconnect" if connected else "Connect"
        self.draw()

    def lines(self) -> list[str]:
        return self.shown()


pygame.display.init()
pygame.font.init()   # pygame.init() would begin to play silence, which costs a wake-up every 10 ms
window = Window()
pygamesupport.install(window.handle)
reactor.run()
