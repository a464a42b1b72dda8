"""The version, in one place that needs no installed metadata; pyproject.toml says the same and a test compares them."""

VERSION = "0.1.0"
