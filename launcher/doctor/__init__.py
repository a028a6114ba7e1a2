"""The whole checklist of an installation: what is well, what is not, and what to do about each."""

from launcher.doctor.finding import FAILED, OK, WARNING, Finding, Ground, exit_code

__all__ = ["FAILED", "OK", "WARNING", "Finding", "Ground", "exit_code"]
