"""What a bundle says of itself: models, environments, and every file with its size and sha256.

Invariants: a manifest that was read is sound: names stay inside their folders, digests are digests, no file is listed
twice; whoever knows the manifest's digest knows every byte of the bundle.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from launcher.bundle.tar import BadBundle
from launcher.hub.remote_files import COMMIT, SHA256, RemoteFile, is_safe_path

FORMAT = 1
MANIFEST_NAME = "manifest.json"
#: The largest model has a few hundred files; environments bring about as many wheels.
MAX_BYTES = 64 << 20
_MAX_FILES = 100_000
_REPO = re.compile(r"((spaces|datasets)/)?[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_REVISION = re.compile(r"[\w][\w./-]*", re.ASCII)
_ENVIRONMENT = re.compile(r"[a-z0-9][a-z0-9._-]*", re.ASCII)
_SHA1 = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class File:
    """One file of the bundle.

    Attributes:
        size: in bytes.
        sha256: of its content.
    """

    size: int
    sha256: str


@dataclass(frozen=True)
class Model:
    """One repository at one commit.

    Attributes:
        repo, revision, commit: which.
        paths: of the files that the bundle carries.
        tree: everything that the repository holds.
        hosts: path to who sent it, address to bytes.
        vouchers: who vouched for the digests when it was fetched.
    """

    repo: str
    revision: str
    commit: str
    paths: tuple[str, ...]
    tree: tuple[RemoteFile, ...]
    hosts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    vouchers: tuple[str, ...] = ()

    def member(self, path: str) -> str:
        """The name in the bundle of one of the files."""
        return f"models/{self.repo.replace('/', '--')}/{self.commit}/{path}"

    def to_json(self) -> dict[str, Any]:
        """The value as a JSON object."""
        return {
            "repo": self.repo,
            "revision": self.revision,
            "commit": self.commit,
            "paths": list(self.paths),
            "tree": {one.path: [one.size, one.git_sha1, one.sha256] for one in self.tree},
            "hosts": {path: dict(hosts) for path, hosts in self.hosts.items()},
            "vouchers": list(self.vouchers),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Model:
        """The value from `to_json`'s object.

        Raises:
            ValueError, KeyError, TypeError: when it is none.
        """
        tree = tuple(
            RemoteFile(path, int(size), str(git_sha1), sha256)
            for path, (size, git_sha1, sha256) in data["tree"].items()
        )
        found = cls(
            str(data["repo"]),
            str(data["revision"]),
            str(data["commit"]),
            tuple(map(str, data["paths"])),
            tree,
            {
                str(path): {str(host): int(size) for host, size in hosts.items()}
                for path, hosts in data["hosts"].items()
            },
            tuple(map(str, data["vouchers"])),
        )
        sound = (
            _REPO.fullmatch(found.repo)
            and COMMIT.fullmatch(found.commit)
            and _REVISION.fullmatch(found.revision)
            and is_safe_path(found.revision)
            and all(is_safe_path(one.path) and one.size >= 0 for one in tree)
            and all(SHA256.fullmatch(one.sha256) if one.sha256 else _SHA1.fullmatch(one.git_sha1) for one in tree)
            and {one.path for one in tree}.issuperset(found.paths)
        )
        if not sound:
            raise ValueError(found.repo)
        return found


@dataclass(frozen=True)
class Environment:
    """The packages of one environment.

    Attributes:
        name: ``launcher`` or an engine's.
        python: version that they are for, such as ``3.11``.
        platform: that they are for, such as ``linux-x86_64``.
        stamp: what the engines' own record says of it; empty for the launcher's.
    """

    name: str
    python: str
    platform: str
    stamp: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The value as a JSON object."""
        return {"name": self.name, "python": self.python, "platform": self.platform, "stamp": dict(self.stamp)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Environment:
        """The value from `to_json`'s object.

        Raises:
            ValueError, KeyError, TypeError: when it is none.
        """
        found = cls(str(data["name"]), str(data["python"]), str(data["platform"]), dict(data["stamp"]))
        if not (_ENVIRONMENT.fullmatch(found.name) and re.fullmatch(r"3\.\d{1,2}", found.python)):
            raise ValueError(found.name)
        return found


@dataclass(frozen=True)
class Manifest:
    """Everything that a bundle says of itself; ``files`` are in the order of the archive."""

    name: str
    created_at: float
    version: str
    models: tuple[Model, ...]
    environments: tuple[Environment, ...]
    files: Mapping[str, File]

    def encode(self) -> bytes:
        """The manifest as it stands in the bundle."""
        data = {
            "format": FORMAT,
            "name": self.name,
            "created_at": self.created_at,
            "version": self.version,
            "models": [one.to_json() for one in self.models],
            "environments": [one.to_json() for one in self.environments],
            "files": {name: [one.size, one.sha256] for name, one in self.files.items()},
        }
        return json.dumps(data, indent=1).encode()

    @property
    def size_bytes(self) -> int:
        """All files together."""
        return sum(one.size for one in self.files.values())


def digest(data: bytes) -> str:
    """What stands for a bundle: the sha256 of its manifest."""
    return hashlib.sha256(data).hexdigest()


def decode(data: bytes) -> Manifest:
    """Reads a manifest and makes sure that it is sound.

    Raises:
        BadBundle: when it is not.
    """
    try:
        raw = json.loads(data, object_pairs_hook=_unique)
        if raw["format"] != FORMAT:
            raise BadBundle(
                f"The bundle has format {raw['format']!r:.20}, this version reads {FORMAT}.", fix="Update tts-launcher."
            )
        files = {str(name): File(int(size), str(sha256)) for name, (size, sha256) in raw["files"].items()}
        found = Manifest(
            str(raw["name"]),
            float(raw["created_at"]),
            str(raw["version"]),
            tuple(map(Model.from_json, raw["models"])),
            tuple(map(Environment.from_json, raw["environments"])),
            files,
        )
        sound = len(files) <= _MAX_FILES and all(
            is_safe_path(name) and one.size >= 0 and SHA256.fullmatch(one.sha256) for name, one in files.items()
        )
        if not sound or not all(model.member(path) in files for model in found.models for path in model.paths):
            raise ValueError("files")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadBundle(
            f"The bundle's manifest makes no sense ({type(error).__name__}: {error}).", fix="Make the bundle again."
        ) from None
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found
