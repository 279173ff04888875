"""What this installation computes, held against what the originals do."""
