"""Settings: where each comes from, what it may be, and one frozen Config."""

from launcher.config.model import Config, SettingValue
from launcher.config.sources import load

__all__ = ["Config", "SettingValue", "load"]
