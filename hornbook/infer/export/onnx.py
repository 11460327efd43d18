"""ONNX: the model as a graph of standard operators, for ONNX Runtime.

The graph is written here, operator by operator, with the package ``onnx``: tokens
(batch, time) in, logits (batch, time, vocab_size) out, as in the naive forward pass.
"""
