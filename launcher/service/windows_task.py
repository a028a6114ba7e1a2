"""A task for the Windows Task Scheduler that starts at logon (or with the machine), and again after a failure.

Invariants: rendering is pure; the schema is that of Task Scheduler 1.2.
"""

from __future__ import annotations

import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Mapping

from launcher.service.spec import ServiceSpec

_NAMESPACE = "http://schemas.microsoft.com/windows/2004/02/mit/task"


def render_task(spec: ServiceSpec) -> str:
    """The task's XML, for ``schtasks /Create /XML``."""
    task = ET.Element("Task", {"version": "1.2", "xmlns": _NAMESPACE})
    about = ET.SubElement(task, "RegistrationInfo")
    ET.SubElement(about, "Description").text = f"Text-to-speech page ({spec.instance})"
    trigger = ET.SubElement(ET.SubElement(task, "Triggers"), "BootTrigger" if spec.system else "LogonTrigger")
    ET.SubElement(trigger, "Enabled").text = "true"
    principal = ET.SubElement(ET.SubElement(task, "Principals"), "Principal", {"id": "Author"})
    if spec.user:
        ET.SubElement(principal, "UserId").text = spec.user
    ET.SubElement(principal, "LogonType").text = "S4U" if spec.system else "InteractiveToken"
    ET.SubElement(principal, "RunLevel").text = "LeastPrivilege"
    settings = ET.SubElement(task, "Settings")
    for name, value in (
        ("MultipleInstancesPolicy", "IgnoreNew"),
        ("DisallowStartIfOnBatteries", "false"),
        ("StopIfGoingOnBatteries", "false"),
        ("ExecutionTimeLimit", "PT0S"),
    ):
        ET.SubElement(settings, name).text = value
    restart = ET.SubElement(settings, "RestartOnFailure")
    ET.SubElement(restart, "Interval").text = "PT1M"
    ET.SubElement(restart, "Count").text = "5"
    execute = ET.SubElement(ET.SubElement(task, "Actions", {"Context": "Author"}), "Exec")
    # A task has no environment of its own, so the interpreter is started by a shell that sets it.
    ET.SubElement(execute, "Command").text = "cmd.exe"
    ET.SubElement(execute, "Arguments").text = f"/d /c {_command(spec)}"
    ET.SubElement(execute, "WorkingDirectory").text = str(spec.folder)
    ET.indent(task)
    return '<?xml version="1.0" encoding="UTF-16"?>\n' + ET.tostring(task, encoding="unicode") + "\n"


def tasks(spec: ServiceSpec) -> Mapping[str, str]:
    """File name to text."""
    return {f"{spec.name}.xml": render_task(spec)}


def _command(spec: ServiceSpec) -> str:
    settings = "".join(f'set "{name}={value.replace("%", "%%")}" && ' for name, value in spec.environment.items())
    return f'"{settings}{subprocess.list2cmdline(spec.command)}"'
