"""The transformer, one idea per file."""
