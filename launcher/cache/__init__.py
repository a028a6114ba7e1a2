"""The persistent caches: where each library keeps its files."""
