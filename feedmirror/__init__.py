"""Feedmirror: a live mirror of the feeds you name, on one page that is always current."""

__version__ = "0.1.0"
