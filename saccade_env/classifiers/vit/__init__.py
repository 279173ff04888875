"""Vision transformers that drop hidden tokens: DINO, and those of timm."""
