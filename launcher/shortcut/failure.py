"""What somebody without a terminal sees when a double-click fails: the reason, the way out and the last log.

Invariants: the page is one file that loads nothing; every text in it is escaped; in English and Chinese at once,
because nothing is known yet about the reader.
"""

from __future__ import annotations

import html
from collections.abc import Sequence

_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>TTS Launcher</title>
<style>
  :root {{ color-scheme: light dark; --edge: #8884; --accent: #b91c1c; }}
  @media (prefers-color-scheme: dark) {{ :root {{ --accent: #fca5a5; }} }}
  body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 0 auto; padding: 2rem 1rem; }}
  h1 {{ font-size: 1.4rem; color: var(--accent); }}
  .fix {{ font-weight: 600; }}
  pre {{ border: 1px solid var(--edge); border-radius: .5rem; padding: .75rem; overflow: auto; font-size: .8rem; }}
</style>
<h1>The page could not be started · 页面未能启动</h1>
<p>{message}</p>
<p class="fix">{fix}</p>
{log}<p>Instance · 实例: {instance}. Double-click again when it is mended · 解决后请再次双击图标。</p>
</html>
"""


def render_failure(instance: str, message: str, fix: str, lines: Sequence[str]) -> str:
    """The page.

    Args:
        instance: which one failed.
        message, fix: one sentence each.
        lines: the log's last ones.
    """
    log = f"<h2>Log · 日志</h2><pre>{html.escape(chr(10).join(lines))}</pre>\n" if lines else ""
    return _PAGE.format(instance=html.escape(instance), message=html.escape(message), fix=html.escape(fix), log=log)
