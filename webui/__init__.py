"""The WebUI: a page, a speech API and the engine process; heavy, in processes of their own.

Importing this package loads nothing else.
"""
