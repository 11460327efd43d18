"""The fast half of the tokenizer, in Numba. Reading order: jit, scan, windows, scanners,
slots, cuts, merge, pieces, encode for encoding; count, ranking, learn for training; ahead.
Each does what a slow, plain function of ``pretokenize.py`` or ``reference.py`` says, and
tests hold them equal.
"""
