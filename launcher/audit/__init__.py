"""What a downloaded package really contains: read, never run."""
