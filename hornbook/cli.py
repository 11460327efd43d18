"""The command line: every command of Hornbook, each a few lines that call a room."""


def main() -> None:
    """Entry point of the ``hornbook`` command."""
