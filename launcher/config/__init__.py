"""Settings: where each comes from, what it may be, and one frozen Config."""

from launcher.config.sources import load
from launcher.config.model import Config, SettingValue

__all__ = ["Config", "SettingValue", "load"]
