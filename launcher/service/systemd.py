"""systemd units: the service, and the socket for those who want systemd to hold the port.

Invariants: rendering is pure; every value is quoted as systemd.syntax(7) and systemd.service(5) ask, so that a path
with spaces, quotes, ``%`` or ``$`` stays what it is; the sandbox keeps the GPU reachable.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from launcher.service.spec import STATE_FOLDER, ServiceSpec

#: The loop turns many times a second; half a minute of silence means that it hangs.
WATCHDOG_S = 30
#: Until the page serves. The supervisor asks for more time while a slow machine imports it (EXTEND_TIMEOUT_USEC).
START_S = 120
#: Exit codes that a restart cannot mend: a wrong setting, a port that belongs to somebody else.
HOPELESS = (2, 3)

#: What works without privileges, in a user's own manager too: no mount namespace is needed.
_SANDBOX = """\
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictNamespaces=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
UMask=0077
"""
#: MemoryDenyWriteExecute is left out: compilers of GPU kernels write code and run it. ProcSubset=pid too: the CUDA
#: driver reads /proc/driver/nvidia. PrivateDevices too: it hides the GPU, which DeviceAllow names instead.
_MACHINE_SANDBOX = """\
CapabilityBoundingSet=
AmbientCapabilities=
PrivateUsers=yes
PrivateTmp=yes
ProtectSystem=strict
ProtectHome={protect_home}
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
RemoveIPC=yes
SystemCallFilter=~@privileged @mount
DevicePolicy=closed
DeviceAllow=char-nvidia rw
DeviceAllow=char-nvidia-frontend rw
DeviceAllow=char-nvidia-uvm rw
DeviceAllow=char-nvidia-caps rw
DeviceAllow=char-drm rw
DeviceAllow=char-kfd rw
"""


def render_service(spec: ServiceSpec) -> str:
    """The text of ``NAME.service``."""
    environment = "".join(f"Environment={quote(f'{name}={value}')}\n" for name, value in spec.environment.items())
    sandbox = _SANDBOX + (_MACHINE_SANDBOX.format(protect_home=_home_access(spec)) if spec.system else "")
    user = f"User={spec.user}\n" if spec.user else ""
    writable = ""
    if spec.system:
        own = spec.data_dir == STATE_FOLDER
        writable = "StateDirectory=tts-launcher\nStateDirectoryMode=0700\n" if own else _writable(spec.data_dir)
        writable += "".join(map(_writable, spec.writes))
    return f"""\
# Made by: tts-launcher service install
[Unit]
Description=Text-to-speech page ({spec.instance})
Documentation=man:systemd.service(5)
{_ordering(spec)}StartLimitIntervalSec=300
StartLimitBurst=5

[Service]
Type=notify
NotifyAccess=main
{user}ExecStart={_command(spec.command)}
WorkingDirectory={_specifiers(str(spec.folder))}
{environment}TimeoutStartSec={START_S}
TimeoutStopSec={spec.stop_s}
WatchdogSec={WATCHDOG_S}
Restart=on-failure
RestartSec=2
RestartPreventExitStatus={" ".join(map(str, HOPELESS))}
KillMode=mixed
# The supervisor replaces an engine that the kernel killed; the service goes on.
OOMPolicy=continue
LimitNOFILE=65536
TasksMax=4096
{writable}{sandbox}
[Install]
WantedBy={"multi-user.target" if spec.system else "default.target"}
"""


def render_socket(spec: ServiceSpec) -> str:
    """The text of ``NAME.socket``: systemd holds the port, and the first visitor starts the service."""
    return f"""\
# Made by: tts-launcher service install --socket
[Unit]
Description=Port of the text-to-speech page ({spec.instance})

[Socket]
ListenStream={spec.listen}
Backlog=2048
NoDelay=yes

[Install]
WantedBy=sockets.target
"""


def units(spec: ServiceSpec) -> Mapping[str, str]:
    """File name to text of every unit that the service needs."""
    found = {f"{spec.name}.service": render_service(spec)}
    if spec.listen:
        found[f"{spec.name}.socket"] = render_socket(spec)
    return found


def unit_folder(*, system: bool, config_home: Path) -> Path:
    """Where units of an administrator or a user lie, systemd.unit(5)."""
    return Path("/etc/systemd/system") if system else config_home / "systemd" / "user"


def quote(value: str) -> str:
    """One value as an item of a unit file's list."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{_specifiers(escaped)}"'


def _writable(path: Path) -> str:
    return f"ReadWritePaths={quote(str(path))}\n"


def _command(arguments: Iterable[str]) -> str:
    # In a command line, and only there, $ begins a variable.
    return " ".join(quote(argument).replace("$", "$$") for argument in arguments)


def _specifiers(value: str) -> str:
    return value.replace("%", "%%")


def _ordering(spec: ServiceSpec) -> str:
    # A user's manager has no network targets.
    lines = ["Wants=network-online.target", "After=network-online.target"] if spec.system else []
    if spec.listen:
        lines.append(f"Requires={spec.name}.socket")
        lines.append(f"After={spec.name}.socket")
    return "".join(f"{line}\n" for line in lines)


def _home_access(spec: ServiceSpec) -> str:
    """Home folders are hidden unless the service's own files lie in one."""
    needed = [Path(spec.command[0]), spec.folder, spec.data_dir, *spec.reads, *spec.writes]
    homes = (Path("/home"), Path("/root"), Path("/run/user"))
    return "read-only" if any(path.is_relative_to(home) for path in needed for home in homes) else "yes"
