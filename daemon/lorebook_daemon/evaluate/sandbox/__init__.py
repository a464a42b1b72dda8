"""The sandbox: programs that a model wrote, run in a child process that may do little, and not for long."""
