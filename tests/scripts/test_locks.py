"""The locked versions: complete, hashed, bound to no machine, and with licences that we may use."""

from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
START = ROOT / "locks" / "start.txt"
TEST = ROOT / "locks" / "test.txt"

#: Packages whose metadata name no licence; read from the licence file that they ship.
READ_BY_HAND = {"pyworld": "MIT", "axe-playwright-python": "MIT"}
#: Copyleft licences that stay with their own files: allowed where we only call the package.
WEAK_COPYLEFT: dict[str, str] = {}


def _locked(path: Path) -> dict[Requirement, str]:
    """Each requirement of a lock and the lines of hashes under it."""
    blocks = re.split(r"\n(?=[A-Za-z0-9])", re.sub(r"(?m)^\s*#.*\n", "", path.read_text(encoding="utf-8")))
    split = (block.partition(" \\\n") for block in blocks if block.strip())
    return {Requirement(head.strip()): hashes for head, _, hashes in split}


def _names(path: Path) -> set[str]:
    return {canonicalize_name(requirement.name) for requirement in _locked(path)}


@pytest.mark.parametrize("path", [START, TEST], ids=lambda path: path.name)
def test_every_package_has_an_exact_version_and_a_hash(path: Path) -> None:
    for requirement, hashes in _locked(path).items():
        assert [specifier.operator for specifier in requirement.specifier] == ["=="], requirement
        assert "--hash=sha256:" in hashes, f"{requirement} has no hash; remake the locks with scripts/lock"


@pytest.mark.parametrize("path", [START, TEST], ids=lambda path: path.name)
def test_no_index_host_or_folder_in_a_lock(path: Path) -> None:
    assert not re.search(r"://|file:|index-url|find-links| @ ", path.read_text(encoding="utf-8"))


def test_the_lock_satisfies_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    locked = _locked(TEST)
    for line in [*project["dependencies"], *extras["ja"], *extras["test"], *extras["bench"]]:
        wanted = Requirement(line)
        found = [r for r in locked if canonicalize_name(r.name) == canonicalize_name(wanted.name)]
        assert found, f"{line} is not locked; remake the locks with scripts/lock"
        for requirement in found:
            version = next(iter(requirement.specifier)).version
            assert wanted.specifier.contains(version, prereleases=True), f"{line} against the lock's {version}"


def test_the_tests_run_what_people_run() -> None:
    missing = {str(requirement) for requirement in _locked(START)} - {str(requirement) for requirement in _locked(TEST)}
    assert not missing, "locks/test.txt lacks versions of locks/start.txt; remake both with scripts/lock"


def test_starting_costs_no_gigabytes() -> None:
    heavy = {"torch", "torchaudio", "transformers", "tensorflow", "triton"}
    small = {"nvidia-ml-py"}  # asks the driver, 60 kB
    found = {name for name in _names(START) - small if name in heavy or name.startswith("nvidia-")}
    assert not found, "what only the engines for GPUs need belongs to the extra `gpu`"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the tags that pip gives what it compiles on Linux")
def test_starting_compiles_nothing() -> None:
    """Who has no compiler can start as well: a wheel of an index is for many systems, one made here for Linux alone."""
    compiled = [
        item.name
        for item in metadata.distributions()
        if item.name
        and canonicalize_name(item.name) in _names(START)
        and re.search(r"(?m)^Tag: .*-linux_", item.read_text("WHEEL") or "")
    ]
    assert not compiled, "these have no wheel for Linux: make them an extra"


def _licence(distribution: metadata.Distribution) -> str:
    """What the package says of its licence: the expression, the field's first line, the classifiers."""
    fields = distribution.metadata
    words = [fields.get("License-Expression") or "", (fields.get("License") or "").partition("\n")[0][:120]]
    words += [line for line in fields.get_all("Classifier") or [] if line.startswith("License ::")]
    return "; ".join(word for word in words if word)


def _refusal(name: str, licence: str) -> str | None:
    """Why a package with this licence may not be installed beside us; ``None`` when it may."""
    if not licence:
        return "names no licence; read its licence file and add it to READ_BY_HAND"
    alternatives = re.split(r"\bOR\b", licence) if " OR " in licence else [licence]
    if all(re.search(r"(?<!L)GPL|Affero|(?<!Lesser )General Public License", text) for text in alternatives):
        return f"is under {licence}"
    if all(re.search(r"LGPL|Lesser", text) for text in alternatives) and name not in WEAK_COPYLEFT:
        return f"is under {licence}; add it to WEAK_COPYLEFT with the reason why we may"
    return None


def test_no_package_is_under_a_licence_that_binds_us() -> None:
    installed = {canonicalize_name(item.name): item for item in metadata.distributions() if item.name}
    present = _names(TEST) & set(installed)
    assert {"gradio", "onnxruntime", "click"} <= present, "the locked packages are not installed here"
    problems = []
    for name in sorted(present):
        reason = _refusal(name, _licence(installed[name]) or READ_BY_HAND.get(name, ""))
        if reason:
            problems.append(f"{name} {reason}")
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize(
    ("licence", "allowed"),
    [
        ("MIT", True),
        ("MIT OR GPL-3.0-only", True),
        ("GPL-3.0-or-later", False),
        ("AGPL-3.0", False),
        ("License :: OSI Approved :: GNU General Public License v3 (GPLv3)", False),
        ("LGPL-2.1", False),
        ("License :: OSI Approved :: GNU Lesser General Public License v3 (LGPLv3)", False),
        ("MPL-2.0 AND (Apache-2.0 OR MIT)", True),
        ("", False),
    ],
)
def test_licences_are_told_apart(licence: str, allowed: bool) -> None:
    assert (_refusal("some-package", licence) is None) == allowed
