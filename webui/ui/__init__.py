"""The Gradio page: one file per panel."""
