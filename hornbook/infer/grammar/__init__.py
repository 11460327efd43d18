"""Answers that fit a JSON Schema: what may come next, byte by byte and token by token."""
