"""Evaluation: how good the model is, the system, and a change of either; on this machine, in figures to be trusted."""
