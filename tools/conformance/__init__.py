"""Twisted's own tests, run on Twisted's reactors and on ours, and compared test by test."""
