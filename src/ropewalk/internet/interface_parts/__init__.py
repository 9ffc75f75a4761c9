"""The interfaces, by theme; programs import them from ropewalk.internet.interfaces."""
