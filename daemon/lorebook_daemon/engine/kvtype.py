"""What the numbers in KV are: the context is made for it, and what is kept of passages fits no other."""

KV_TYPE = "f16"
"""As llama.cpp calls it."""

KV_BYTES = 2
"""Of each number."""
