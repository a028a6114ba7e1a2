"""The settings as people read them: ``.env.example`` and the tables in ``docs/configuration*.md``.

``python -m launcher.config.reference`` in a checkout writes all three anew. Invariants: made from `KEYS` alone; what
stands outside the markers of a page is never touched.
"""

from __future__ import annotations

from pathlib import Path

from launcher.config.keys import KEYS, Key

BEGIN = "<!-- settings: made by python -m launcher.config.reference -->"
END = "<!-- end of settings -->"
PAGES = {"docs/configuration.md": "en", "docs/configuration.zh.md": "zh"}
_TITLES = {
    "en": ("Setting", "Default", "What it does", "Example"),
    "zh": ("设置", "默认值", "作用", "示例"),
}
#: `Key.default_note` in Chinese; a path needs no translation.
_CHINESE_NOTES = {
    "none, which only loopback allows": "无（仅限本机回环地址）",
    "loopback names and LAUNCHER_HOST": "本机名称与 LAUNCHER_HOST",
    "none": "无",
    "none: HTTP": "无（使用 HTTP）",
    "nobody": "无",
    "the environment that engine install made, else this one": "engine install 创建的环境，否则为当前环境",
    "what LAUNCHER_DEVICE says": "由 LAUNCHER_DEVICE 决定",
    "what the app's profile says": "由应用配置决定",
    "the installed package": "已安装的软件包",
    "the cache": "缓存",
    "tts-launcher in the system's folder for user data": "系统用户数据目录下的 tts-launcher",
    "not set": "未设置",
    "not set: all": "未设置：全部",
    "DATA/mirrors.toml, HF_ENDPOINT, or the built-in list": "DATA/mirrors.toml、HF_ENDPOINT 或内置列表",
}
_HEAD = """\
# Settings of tts-launcher. Copy this file to .env and remove the # before what you want to change.
# tts-launcher 的设置。复制为 .env，删除要修改的行前面的 # 即可。
# Flags win over the environment, the environment over .env. An empty value is no value.
# 优先级：命令行参数 > 环境变量 > .env > 默认值。空值等于未设置。
# Relative paths start from this file's folder. DATA is LAUNCHER_DATA_DIR.
# 相对路径以本文件所在目录为起点。DATA 指 LAUNCHER_DATA_DIR。
"""


def env_example(keys: tuple[Key, ...] = KEYS) -> str:
    """The text of ``.env.example``: every key, commented out, with both descriptions."""
    blocks = []
    for key in keys:
        note = f" (default: {key.default_note})" if key.default_note else ""
        value = key.default or key.example
        blocks.append(f"# {key.english}{note}\n# {key.chinese}\n#{key.name}={value}\n")
    return "\n".join([_HEAD, *blocks])


def settings_table(language: str, keys: tuple[Key, ...] = KEYS) -> str:
    """The table of every key in Markdown; ``language`` is ``en`` or ``zh``."""
    rows = [f"| {' | '.join(_TITLES[language])} |", "| --- | --- | --- | --- |"]
    for key in keys:
        note, meaning = key.default_note, key.english
        if language == "zh":
            note, meaning = _CHINESE_NOTES.get(note, note), key.chinese
        default = f"`{key.default}`" if key.default else note
        example = f"`{key.example}`" if key.example else ""
        rows.append(f"| `{key.name}` | {default} | {meaning} | {example} |")
    return "\n".join(rows)


def replace_table(page: str, table: str) -> str:
    """``page`` with ``table`` between the two markers.

    Raises:
        ValueError: when a marker is missing.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("the page lacks a marker of the settings table")
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def write_all(root: Path) -> None:
    """Writes ``.env.example`` and both tables below ``root``, the project's folder."""
    (root / ".env.example").write_text(env_example(), encoding="utf-8")
    for name, language in PAGES.items():
        page = root / name
        page.write_text(replace_table(page.read_text(encoding="utf-8"), settings_table(language)), encoding="utf-8")


if __name__ == "__main__":
    write_all(Path(__file__).parents[2])
