"""The index: load, split, embed, store, retrieve."""
