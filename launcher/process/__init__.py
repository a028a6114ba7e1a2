"""Processes: identity, supervision, the port, the run file and the logs."""
