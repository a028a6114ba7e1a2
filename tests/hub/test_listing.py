"""Listings from servers that cannot be trusted: read when they are right, refused whole when they are not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.hub.listing import BadListing, hub_files, modelscope_files, next_page
from launcher.hub.remote_files import RemoteFile
from tests.servers.hub import GeneratedFile, Repo
from tests.servers.listings import modelscope_files as listed_by_modelscope
from tests.servers.listings import tree

REPO = Repo({"config.json": b"{}", "sub/model.bin": GeneratedFile(200_000, seed=1)})
SHA1, SHA256 = "a" * 40, "b" * 64


def entry(**changes: Any) -> dict[str, Any]:
    return {"type": "file", "path": "a.bin", "size": 1, "oid": SHA1, **changes}


def test_files_of_the_hub() -> None:
    small, large = hub_files(tree(REPO, recursive=True))
    assert small == RemoteFile("config.json", 2, REPO.oid("config.json"))
    assert large == RemoteFile("sub/model.bin", 200_000, REPO.oid("sub/model.bin"), REPO.sha256("sub/model.bin"))


def test_files_of_modelscope() -> None:
    found = modelscope_files(listed_by_modelscope(REPO, recursive=True))
    assert {file.path: file.sha256 for file in found} == {path: REPO.sha256(path) for path in REPO.files}


@pytest.mark.parametrize(
    "changes",
    [
        {"path": "../outside"},
        {"path": "/etc/passwd"},
        {"path": "a/../../b"},
        {"path": "a\\..\\b"},
        {"path": "C:/b"},
        {"path": "a//b"},
        {"path": ""},
        {"path": None},
        {"size": -1},
        {"size": "1"},
        {"size": True},
        {"oid": "short"},
        {"oid": None},
        {"lfs": {"oid": "xyz", "size": 1}},
        {"lfs": {"oid": SHA256, "size": -5}},
    ],
)
def test_one_bad_entry_spoils_the_list(changes: dict[str, Any]) -> None:
    with pytest.raises(BadListing):
        hub_files([entry(), entry(**changes)])


@pytest.mark.parametrize("page", [None, {}, "x", 5, [1], [None], ["x"]])
def test_what_is_no_list(page: object) -> None:
    with pytest.raises(BadListing):
        hub_files(page)
    with pytest.raises(BadListing):
        modelscope_files({"Data": {"Files": page}})
    with pytest.raises(BadListing):
        modelscope_files(page)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["path", "size", "oid", "lfs"]), inner),
    max_leaves=8,
)


@given(value=st.lists(_JSON.map(lambda one: {"type": "file", **one} if isinstance(one, dict) else one), max_size=3))
def test_nothing_but_a_refusal_comes_of_nonsense(value: list[Any]) -> None:
    try:
        hub_files(value)
    except BadListing as bad:
        assert str(bad)


def test_pages() -> None:
    address = "https://hub.example/api/models/a/b/tree/main?cursor=x%3D&limit=2"
    assert next_page(f'<{address}>; rel="next"') == address
    assert next_page(f'<https://x.example>; rel="prev", <{address}>; rel="next"') == address
    assert next_page('<https://x.example>; rel="prev"') == "" == next_page("")
