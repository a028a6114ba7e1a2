"""What people keep: voices, presets, a glossary, and every take; one SQLite file and folders of sound."""
