"""Whom to believe: two that agree, one that is trusted, the only one; else an error that says who said what."""

from __future__ import annotations

import itertools

import pytest

from launcher.errors import FetchError
from launcher.hub.agreement import agree
from launcher.hub.asking import Word
from launcher.hub.endpoints import Endpoint
from launcher.hub.remote_files import RemoteFile, RepoTree

OLD, NEW = "a" * 40, "b" * 40
RIGHT = (RemoteFile("config.json", 2, "1" * 40), RemoteFile("model.bin", 9, "2" * 40, "3" * 64))
WRONG = (RIGHT[0], RemoteFile("model.bin", 9, "2" * 40, "4" * 64))


def word(name: str, commit: str = NEW, files: tuple[RemoteFile, ...] = RIGHT, *, trusted: bool = False) -> Word:
    return Word(Endpoint(f"https://{name}", "hub" if commit else "modelscope", trusted=trusted), commit, files)


def settled(*words: Word, revision: str = "main", **options: object) -> RepoTree:
    """The tree, which must not depend on the order of the words."""
    trees = [agree("org/m", revision, order, {}, **options) for order in itertools.permutations(words)]  # type: ignore[arg-type]
    assert len({(tree.commit, tree.files, tuple(sorted(tree.rejected))) for tree in trees}) == 1
    return trees[0]


def test_two_that_agree_outweigh_one() -> None:
    tree = settled(word("a"), word("b"), word("c", OLD))
    assert (tree.commit, set(tree.rejected)) == (NEW, {"https://c"})
    tree = settled(word("a"), word("b"), word("c", files=WRONG))
    assert tree.files == RIGHT
    assert "model.bin" in tree.rejected["https://c"]


def test_one_that_is_trusted_outweighs_two() -> None:
    tree = settled(word("a", OLD), word("b", OLD), word("hub", trusted=True))
    assert (tree.commit, tree.vouchers) == (NEW, ("https://hub",))


def test_a_contradiction_names_both_sides() -> None:
    for words in ((word("a"), word("b", OLD)), (word("a"), word("b", files=WRONG))):
        with pytest.raises(FetchError) as caught:
            settled(*words)
        assert "https://a" in str(caught.value) and "https://b" in str(caught.value)


def test_two_trusted_that_contradict_each_other() -> None:
    with pytest.raises(FetchError):
        settled(word("a", trusted=True), word("b", OLD, trusted=True), word("c"))


def test_one_word_counts_only_when_there_is_no_other_mirror_or_the_user_knows_better() -> None:
    with pytest.raises(FetchError):
        settled(word("a"))
    assert settled(word("a"), is_only=True).commit == NEW


def test_digests_that_are_known_beforehand() -> None:
    weights = {"pinned": {"model.bin": "3" * 64}, "needed": lambda files: files[1:]}
    assert settled(word("a"), **weights).vouchers == ("https://a", "pinned digests")
    with pytest.raises(FetchError):  # the small file could be anything
        settled(word("a"), pinned={"model.bin": "3" * 64})
    tree = settled(word("a"), word("b", files=WRONG), word("c", files=WRONG), **weights)
    assert tree.files == RIGHT and set(tree.rejected) == {"https://b", "https://c"}
    with pytest.raises(FetchError) as caught:
        settled(word("a"), is_only=True, pinned={"model.bin": "5" * 64})
    assert "https://a" in str(caught.value) and "pins" in str(caught.value)


def test_a_store_without_commits_confirms_or_is_left_out() -> None:
    assert settled(word("a"), word("store", "")).vouchers in (
        ("https://a", "https://store"),
        ("https://store", "https://a"),
    )
    with pytest.raises(FetchError):
        settled(word("a"), word("store", "", WRONG))
    assert "https://store" in settled(word("a"), word("b"), word("store", "", WRONG)).rejected


def test_nobody() -> None:
    with pytest.raises(FetchError) as caught:
        agree("org/m", "main", [], {"https://a": "answered 503"})
    assert "https://a answered 503" in str(caught.value)
