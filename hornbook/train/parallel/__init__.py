"""Training on many devices. The model and the loop know nothing of how it is shared out."""
