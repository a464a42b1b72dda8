"""The engine: a GGUF model run by llama.cpp in a child process, which reads each passage once."""
