"""Teaching: cells and data become examples, examples an adapter that is trained here, checked, and loaded by name."""
