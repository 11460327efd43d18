"""Text to ids and back: byte-level BPE from scratch, simple tokenizers, chat."""
