"""Instruction tuning and preferences, on the same loop."""
