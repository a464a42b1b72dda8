"""The models: where GGUF files come from, and the engine that runs one in a child process."""
