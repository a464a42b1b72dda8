"""Turns a checkout into an installation. Standard library only: all of it runs before anything is installed."""
