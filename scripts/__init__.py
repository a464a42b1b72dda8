"""Turns a checkout into an installation. What runs before anything is installed keeps to the standard library."""
