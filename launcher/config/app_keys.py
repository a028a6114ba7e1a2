"""The settings that say which app is started: our own page and engine, or somebody else's.

Invariant: whether there is such an app is known when it starts.
"""

from __future__ import annotations

from launcher.config import parsers
from launcher.config.key import Key

APPS = (
    Key(
        "LAUNCHER_APP",
        "builtin",
        "What to start: builtin (our page and engine), index-tts, heygem, or a profile of your own; see docs/apps.md.",
        "要启动的应用：builtin（自带页面与引擎）、index-tts、heygem 或您自己的配置；见 docs/apps.zh.md。",
        "index-tts",
        parsers.app,
    ),
    Key(
        "LAUNCHER_APP_DIR",
        "",
        "Folder of the app that LAUNCHER_APP names.",
        "LAUNCHER_APP 所指应用的目录。",
        "~/index-tts",
        is_path=True,
        default_note="what the app's profile says",
    ),
)
