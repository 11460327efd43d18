"""From files of every kind to repaired texts."""
