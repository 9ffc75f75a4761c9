"""The errors that programs meet, under twisted.internet.error's names."""

from ropewalk.errors import *  # noqa: F403
