"""The scripts that the page starts with as one file, so that a browser asks once and not fifty times.

The scripts are written for it: an import is one line, ``import { a, b as c } from "./x.js";``, an export stands before
what it exports, none is a variable that changes, and nothing is imported in a circle. Invariants: a script is run once,
whoever imports it, from here or from a tab that is opened later; what is written in another way is an error.
"""

from __future__ import annotations

import posixpath
import re

#: The one file; beside the scripts of the page, so that what they import later is found.
BUNDLE = "js/page.js"
_IMPORT = re.compile(r'^import \{ (.+) \} from "(\.[^"]+)";$', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async )?function|class|const) ([\w$]+)", re.MULTILINE)
_OTHER = re.compile(r"^(?:import|export)\b.*|\bimport\.meta\b", re.MULTILINE)


def bundled(files: dict[str, bytes], entry: str) -> dict[str, bytes]:
    """The files with `BUNDLE` in place of ``entry`` and all that it imports; the other scripts import from there.

    Args:
        files: content by name.
        entry: name of the script that runs the page.

    Raises:
        ValueError: naming the script that is written in another way.
    """
    scripts = {name: content.decode() for name, content in files.items() if name.endswith(".js")}
    order = _in_order(scripts, entry, ())
    parts = [_part(name, scripts[name], order) for name in order]
    names = ", ".join(f'"{name}": {_variable(name, order)}' for name in order)
    result = {name: content for name, content in files.items() if name not in order}
    for name in result.keys() & scripts.keys():
        result[name] = _rewritten(name, scripts[name], order).encode()
    result[BUNDLE] = "\n".join([*parts, f"export const modules = {{ {names} }};", ""]).encode()
    return result


def _in_order(scripts: dict[str, str], name: str, above: tuple[str, ...]) -> list[str]:
    """The script and those that it imports, each behind what it needs."""
    if name in above:
        raise ValueError(f"{name} imports itself by {' -> '.join(above)}")
    order: list[str] = []
    for match in _IMPORT.finditer(scripts[name]):
        for other in _in_order(scripts, _target(name, match), (*above, name)):
            if other not in order:
                order.append(other)
    return [*order, name]


def _part(name: str, text: str, order: list[str]) -> str:
    exported = [match[2] for match in _EXPORT.finditer(text)]
    body = _EXPORT.sub(r"\1 \2", _IMPORT.sub(lambda match: _taken(name, match, order), text))
    other = _OTHER.search(body)
    if other or posixpath.dirname(name) != posixpath.dirname(BUNDLE):
        raise ValueError(f"{name} cannot be bundled: {other[0] if other else 'it lies elsewhere'}")
    return f"// {name}\nconst {_variable(name, order)} = (() => {{\n{body}\nreturn {{ {', '.join(exported)} }};\n}})();"


def _rewritten(name: str, text: str, order: list[str]) -> str:
    """A script beside the bundle, which takes from there what is in it."""
    if not any(_target(name, match) in order for match in _IMPORT.finditer(text)):
        return text
    path = posixpath.relpath(BUNDLE, posixpath.dirname(name))
    path = path if path.startswith(".") else f"./{path}"

    def line(match: re.Match[str]) -> str:
        target = _target(name, match)
        return f'const {_names(match)} = modules["{target}"];' if target in order else match[0]

    return f'import {{ modules }} from "{path}";\n{_IMPORT.sub(line, text)}'


def _taken(name: str, match: re.Match[str], order: list[str]) -> str:
    return f"const {_names(match)} = {_variable(_target(name, match), order)};"


def _names(match: re.Match[str]) -> str:
    return f"{{ {match[1].replace(' as ', ': ')} }}"


def _variable(name: str, order: list[str]) -> str:
    return f"$module{order.index(name)}"


def _target(name: str, match: re.Match[str]) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), match[2]))
