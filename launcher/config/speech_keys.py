"""The settings about what has been spoken: whether it is looked at, and how much of it is kept."""

from __future__ import annotations

from launcher.config import parsers
from launcher.config.key import Key

SPEECH = (
    Key(
        "LAUNCHER_QUALITY",
        "mark",
        "What is done about speech that sounds wrong, by engines with seeds, unless a request says: off, mark, redo.",
        "请求未指定时，有种子的引擎如何处理听起来有问题的语音：off 不检查、mark 标记、redo 重新合成。",
        "redo",
        parsers.choice("off", "mark", "redo"),
    ),
    Key(
        "LAUNCHER_HISTORY",
        "yes",
        "Keep every take with its text, parameters and sound: yes or no.",
        "是否保存每次合成的文本、参数和声音：yes 或 no。",
        "no",
        parsers.choice("yes", "no"),
    ),
    Key(
        "LAUNCHER_HISTORY_BYTES",
        "2GB",
        "How much sound of takes is kept; the oldest without a star go first.",
        "历史记录中声音的最大总量；超出时先删除最早且未收藏的记录。",
        "500MB",
        parsers.size_bytes(1_000_000, 10**13),
    ),
    Key(
        "LAUNCHER_BATCH_BYTES",
        "4GB",
        "How much sound of batch jobs is kept; that of the oldest finished jobs goes first.",
        "批量任务中声音的最大总量；超出时先删除最早完成的任务的声音。",
        "20GB",
        parsers.size_bytes(1_000_000, 10**13),
    ),
)
