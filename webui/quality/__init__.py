"""Whether a stretch of speech is what was asked for: checks of its sound, and an ear that reads it back.

Invariants: `inspection` and what it uses need numpy and nothing else, because they run in the environment of every
engine; nothing here knows of engines, requests or frames.
"""
