"""Settings: where each comes from, what it may be, and one frozen Config."""
