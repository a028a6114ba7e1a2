"""What a shortcut starts, whatever the system.

Invariants: every path is absolute; no secret is in it; it starts the same instance with the same settings file as the
command that installed it.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from launcher.config import Config

#: By which a file of ours is known.
MARK = "tts-launcher"
TITLES = {"en": "TTS Launcher", "zh_CN": "语音合成启动器"}
COMMENTS = {
    "en": "Open the text-to-speech page; start it first if it does not run",
    "zh_CN": "打开语音合成页面；未运行时先启动",
}


@dataclass(frozen=True)
class ShortcutSpec:
    """One instance's shortcut.

    Attributes:
        instance: its name.
        python: interpreter; on Windows the one without a console window.
        folder: working folder, from which the package is found.
        arguments: the interpreter's.
        icon: picture, in the system's format.
    """

    instance: str
    python: str
    folder: Path
    arguments: tuple[str, ...]
    icon: Path

    @property
    def name(self) -> str:
        """File name without its ending: one for each instance."""
        return MARK if self.instance == "default" else f"{MARK}-{self.instance}"

    def title(self, language: str) -> str:
        """What people read, by language (``en``, ``zh_CN``)."""
        return TITLES[language] if self.instance == "default" else f"{TITLES[language]} ({self.instance})"

    def command(self, *words: str) -> tuple[str, ...]:
        """The interpreter's arguments for another command of the same instance."""
        at = self.arguments.index("open")
        return (*self.arguments[:at], *words, *self.arguments[at + 1 :])


def make_spec(
    config: Config, icon: Path, *, platform: str = sys.platform, python: str = sys.executable
) -> ShortcutSpec:
    """The shortcut of the settings' instance.

    Args:
        config: the settings.
        icon: where its picture will be.
        platform: as `sys.platform`.
        python: the interpreter.
    """
    if platform == "win32":
        windowless = Path(python).with_name("pythonw.exe")
        python = str(windowless) if windowless.exists() else python
    arguments = ["-m", "launcher", "open", "--instance", config.instance, "--data-dir", str(config.data_dir)]
    if config.dotenv_path is not None:
        arguments += ["--env-file", str(config.dotenv_path.resolve())]
    root = Path(__file__).resolve().parent.parent.parent
    return ShortcutSpec(config.instance, python, root, tuple(arguments), icon)
