"""Vision transformers that drop hidden tokens: DINO's network, head, packing and KV cache."""
