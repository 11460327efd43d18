"""Weights in 8 or 4 bits: rounding them, what it costs, and the files they are kept in."""
