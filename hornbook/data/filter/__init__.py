"""Numbers about documents, and the rules that judge them."""
