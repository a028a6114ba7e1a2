"""Installs tts-launcher from a bundle on a machine that has nothing but Python: python install.py BUNDLE [FOLDER].

Stands in the bundle as install.py: ``tar -xf BUNDLE install.py``. Makes a virtual environment in FOLDER (tts-launcher
by default), installs the bundle's wheels into it without any network, and hands over to ``bundle install``, which
verifies and places everything else. Invariants: needs nothing but the standard library; every wheel is compared with
its sha256 before pip sees it.
"""

import hashlib
import json
import os
import subprocess
import sys
import tarfile
import venv
from pathlib import Path

_WHEELS = "wheels/launcher/"


def unpack(bundle: Path, folder: Path) -> None:
    """Puts the launcher's wheels into ``folder``, each verified.

    Raises:
        ValueError: when the bundle is for another Python, or one of them is damaged.
    """
    with tarfile.open(bundle, "r:") as archive:
        first = archive.next()
        stream = archive.extractfile(first) if first is not None and first.name == "manifest.json" else None
        if stream is None:
            raise ValueError(f"{bundle} is no bundle")
        manifest = json.load(stream)
        made_for = next((one["python"] for one in manifest["environments"] if one["name"] == "launcher"), None)
        if made_for != f"{sys.version_info[0]}.{sys.version_info[1]}":
            raise ValueError(f"the wheels in {bundle} are for Python {made_for}; run this with that version")
        for member in archive:
            name = member.name.rpartition("/")[2]
            if not member.isreg() or member.name != _WHEELS + name:
                continue
            content = archive.extractfile(member)
            data = content.read() if content is not None else b""
            if hashlib.sha256(data).hexdigest() != manifest["files"][member.name][1]:
                raise ValueError(f"{member.name} is damaged: copy the bundle again")
            (folder / name).write_bytes(data)


def main(arguments: list[str]) -> None:
    """Makes the environment and hands over.

    Raises:
        ValueError: without a bundle, or with one that does not fit.
    """
    if not arguments:
        raise ValueError("usage: python install.py BUNDLE [FOLDER]")
    bundle = Path(arguments[0]).absolute()
    folder = Path(arguments[1] if len(arguments) > 1 else "tts-launcher").absolute()
    environment, wheels = folder / ".venv", folder / ".wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    unpack(bundle, wheels)
    venv.create(environment, with_pip=True)
    python = str(environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    pip = [python, "-m", "pip", "--isolated", "--disable-pip-version-check", "install", "--quiet"]
    files = sorted(map(str, wheels.glob("*.whl")))
    subprocess.run([*pip, "--no-index", "--no-deps", *files], check=True)
    for path in files:
        Path(path).unlink()
    wheels.rmdir()
    subprocess.run([python, "-m", "launcher", "bundle", "install", str(bundle)], check=True)


if __name__ == "__main__":
    main(sys.argv[1:])
