"""Executed notebooks, and queries with the cells that answer them: how well are notebooks searched."""
