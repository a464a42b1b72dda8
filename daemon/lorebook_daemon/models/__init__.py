"""The models: the GGUF files that there are, where they come from, and which of them suits this machine."""
