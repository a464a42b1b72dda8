"""The engine's child process: it alone loads llama.cpp, reads each passage once, serves several requests at once."""
