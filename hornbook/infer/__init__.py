"""The engine behind chat, generation and evaluation."""
