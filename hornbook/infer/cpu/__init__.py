"""One decoding step on a CPU, compiled as a whole."""
