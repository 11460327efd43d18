"""Linear classifiers of text: toxicity, quality, and one's own."""
