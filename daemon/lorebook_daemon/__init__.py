"""The lorebook daemon: one per user, holding the index and the model."""
