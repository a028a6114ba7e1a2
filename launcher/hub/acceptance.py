"""What is in the cache already, from whomever, and whether it may be believed.

A content that a receipt names was compared with its digest when it arrived. Anything else (``hf`` compares nothing, a
copy may have been cut) is compared once, the first time that a fetch meets it, and noted in a receipt then: the next
fetch believes name and size.

Invariant: nothing here changes the cache; what is wrong counts as missing, so that a fetch replaces it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from launcher.hub.meter import Meter
from launcher.hub.placement import RepoFolder
from launcher.hub.receipts import digest_of, receipts_of
from launcher.hub.remote_files import RemoteFile
from launcher.hub.wanted import State
from launcher.progress import Progress

_TELL_S = 0.2


class Acceptance:
    """What one fetch believes about a repository's folder.

    Attributes:
        compared: names of contents that were compared now and are right.

    Args:
        folder: of the repository.
        progress: told how far comparing is.
        note: told of what is damaged.
    """

    def __init__(self, folder: RepoFolder, progress: Callable[[Progress], None], note: Callable[[str], None]) -> None:
        self._folder = folder
        self._progress = progress
        self._note = note
        self._right = {
            file.etag for receipt in receipts_of(folder) for file in receipt.tree if file.path in receipt.files
        }
        self._wrong: set[str] = set()
        self.compared: set[str] = set()

    def confirm(self, state: State) -> State:
        """The state in which a file that is there with the wrong content is missing."""
        there = [file for file in state.selected.files if file not in state.missing]
        return replace(state, missing=(*state.missing, *self.wrong(state.snapshot, there)))

    def wrong(self, snapshot: Path, files: Sequence[RemoteFile]) -> tuple[RemoteFile, ...]:
        """Those of the files in a snapshot that have another content than their names say."""
        places = {file.etag: snapshot / file.path for file in files if file.etag}
        self._compare(places, {file.etag: file for file in files})
        return tuple(file for file in files if file.etag in self._wrong)

    def adopt(self, commit: str, file: RemoteFile) -> bool:
        """Links a content that the cache holds under its name, when it is right; returns whether it was."""
        blob = self._folder.blob(file)
        try:
            if not file.etag or blob.stat().st_size != file.size:
                return False
        except OSError:
            return False
        self._compare({file.etag: blob}, {file.etag: file})
        return file.etag not in self._wrong and self._folder.adopt(commit, file)

    def trust(self, etag: str) -> None:
        """The content was replaced by one that was compared."""
        self._wrong.discard(etag)
        self._right.add(etag)

    def _compare(self, places: dict[str, Path], files: dict[str, RemoteFile]) -> None:
        new = {etag: path for etag, path in places.items() if etag not in self._right | self._wrong}
        meter, read, told = Meter("check", sum(files[etag].size for etag in new)), 0, 0.0

        def count(size: int) -> None:
            nonlocal read, told
            read += size
            if (now := time.monotonic()) - told >= _TELL_S:
                told = now
                self._progress(meter.at(read, now))

        for etag, path in new.items():
            try:
                is_right = digest_of(path, files[etag].start_hash(), count) == etag
            except OSError:
                is_right = False
            (self._right if is_right else self._wrong).add(etag)
            if is_right:
                self.compared.add(etag)
            else:
                self._note(f"{path} is damaged: it is not what {etag[:12]} names; it will be fetched again.")
