"""Weights from mirrors: which there are, which is fastest, and what came from where."""
