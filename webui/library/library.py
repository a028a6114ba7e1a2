"""The library as a whole: one folder, opened once by the page's process.

::

    <data_dir>/instances/NAME/library/   (0700)
    ├── library.sqlite3     every row; -wal and -shm beside it while it is open
    ├── voices/             <sha256>.wav
    ├── takes/              <take's id>.flac
    └── parts/              unfinished files; emptied at every opening

Invariant: after `Library.open` every row has its file and no file that was on record lacks its row.
"""

from __future__ import annotations

from pathlib import Path

from launcher.errors import StorageError
from webui.library.database import FILE_NAME, Database
from webui.library.files import RowFiles, empty, make_private
from webui.library.glossary import GlossaryStore
from webui.library.history import HistoryStore
from webui.library.preset_import import PresetImport
from webui.library.presets import PresetStore
from webui.library.recorder import Recorder
from webui.library.voices import VoiceStore

#: Where the recordings of voices lie, in the library's folder; engines may read files there.
VOICES_FOLDER = "voices"


class Library:
    """Voices, presets, glossary and history.

    Args:
        folder: made when it is not there.
        keeps_history: whether takes are recorded.
        history_bytes: how much sound of takes is kept.

    Raises:
        StorageError: when the folder or the database cannot be used.
    """

    def __init__(self, folder: Path, *, keeps_history: bool = True, history_bytes: int = 2 * 10**9) -> None:
        self.parts = folder / "parts"
        self.keeps_history = keeps_history
        try:
            for path in (folder, self.parts):
                make_private(path)
            empty(self.parts)
            self._database = Database(folder / FILE_NAME)
            voice_files = RowFiles(self._database, folder / VOICES_FOLDER, "voices")
            take_files = RowFiles(self._database, folder / "takes", "takes")
        except OSError as error:
            raise StorageError(
                f"The library's folder {folder} cannot be used: {error.strerror}.",
                fix="Make it writable, or set LAUNCHER_DATA_DIR to another folder.",
            ) from error
        for files in (voice_files, take_files):
            files.settle()
        self.voices = VoiceStore(self._database, voice_files, self.parts)
        self.presets = PresetStore(self._database)
        self.preset_import = PresetImport(self.presets, self.voices, self.parts)
        self.glossary = GlossaryStore(self._database)
        self.history = HistoryStore(self._database, take_files, history_bytes)
        self.recorder = Recorder(self.history if keeps_history else None, self.voices, self.parts)

    def close(self) -> None:
        """Writes what is on its way and closes the database."""
        self.recorder.close()
        self._database.close()
