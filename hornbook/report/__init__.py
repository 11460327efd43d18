"""The PDF of a run."""
