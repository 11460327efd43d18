"""What the page asks for: facts of runs, their data, tokens, and the inside of a model."""
