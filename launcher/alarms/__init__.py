"""What a person should hear of while nobody watches: disks that fill, mirrors that fail, files that rot, slow loads."""

from launcher.alarms.events import note
from launcher.alarms.names import Alarm

__all__ = ["Alarm", "note"]
