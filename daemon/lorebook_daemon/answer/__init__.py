"""The answer: retrieve, assemble, generate, verify."""
