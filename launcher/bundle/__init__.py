"""One file that carries a model, its settings, voices and packages to a machine without a network."""
