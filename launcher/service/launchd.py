"""A launchd job for macOS, launchd.plist(5).

Invariants: rendering is pure; the job is restarted after a crash and not after a clean stop.
"""

from __future__ import annotations

import plistlib
from collections.abc import Mapping
from pathlib import Path

from launcher.service.spec import ServiceSpec


def label(spec: ServiceSpec) -> str:
    """The job's name."""
    return f"tts-launcher.{spec.instance}"


def render_job(spec: ServiceSpec) -> str:
    """The property list of the job."""
    logs = spec.data_dir / "instances" / spec.instance / "logs"
    job = {
        "Label": label(spec),
        "ProgramArguments": list(spec.command),
        "WorkingDirectory": str(spec.folder),
        "EnvironmentVariables": dict(spec.environment),
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": 10,
        "ExitTimeOut": spec.stop_s,
        "ProcessType": "Interactive",
        "StandardOutPath": str(logs / "service.log"),
        "StandardErrorPath": str(logs / "service.log"),
        **({"UserName": spec.user} if spec.user else {}),
    }
    return plistlib.dumps(job, sort_keys=False).decode()


def jobs(spec: ServiceSpec) -> Mapping[str, str]:
    """File name to text."""
    return {f"{label(spec)}.plist": render_job(spec)}


def job_folder(*, system: bool, home: Path) -> Path:
    """Where launchd looks for an administrator's or a user's jobs."""
    return Path("/Library/LaunchDaemons") if system else home / "Library" / "LaunchAgents"
