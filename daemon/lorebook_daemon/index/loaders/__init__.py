"""Loaders: one file a format family; each turns the bytes of a file into units."""

from lorebook_daemon.index.loaders.registry import LOADERS, Loader, loader_for

__all__ = ["LOADERS", "Loader", "loader_for"]
