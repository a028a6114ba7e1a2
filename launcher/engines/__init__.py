"""The engines' own environments: what is installed, what this machine can carry, and which engine to take."""
