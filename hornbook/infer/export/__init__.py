"""Models in other runtimes' formats, and proof that they compute the same there."""
