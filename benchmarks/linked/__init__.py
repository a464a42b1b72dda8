"""Notebooks that import modules of their own, run other files, and are paired with scripts; queries about both ends."""
