"""What the model reads of what was found: which passages, how much around them, and which lines where room is short."""
