"""The commands of the ``hornbook`` program, each a few lines that call a room."""
