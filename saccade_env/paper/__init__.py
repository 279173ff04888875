"""The paper's analyses as one report."""
