"""GGUF models with random weights, of any size: the engine is tested and measured with them where there is no other."""
