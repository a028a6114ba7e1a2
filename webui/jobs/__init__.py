"""Long work: rows of speech from a file, made one by one, kept on disk, and put together."""
