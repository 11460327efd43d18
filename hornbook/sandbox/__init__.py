"""Where code that a model wrote is run: in a process that can reach nothing."""
