"""Raw text in, deduplicated documents, token shards and batches out."""
