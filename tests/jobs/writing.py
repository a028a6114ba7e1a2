"""A process that makes, speaks, changes and removes jobs until it is killed: ``python -m tests.jobs.writing FOLDER``.

Each line on its standard output names what is finished and so must be there afterwards.
"""

from __future__ import annotations

import itertools
import random
import sys
from pathlib import Path

from webui.audio import wav_header
from webui.jobs.formats import read
from webui.jobs.store import JobStore, Result


def main(folder: Path) -> None:
    store = JobStore(folder)
    print("open", flush=True)
    for number in itertools.count():
        rows = "\n".join(f"row {at} of {number}" for at in range(6)).encode()
        job = store.create(f"job {number}", read(rows, "x.txt", max_text_chars=100), {"gap_s": 0.5, "max_tempo": 1.5})
        print("made", job.id, flush=True)
        while row := store.take(job.id):
            if random.random() < 0.2:
                store.fail(row, "It failed.")
                continue
            path = store.parts / "part.wav"
            data = row.position.to_bytes(2, "little") * 2000
            path.write_bytes(wav_header(24_000, len(data)) + data)
            store.finish(row, Result(path, 2000, 24_000, 0.1, 1, {}))
            print("done", job.id, row.position, flush=True)
        if random.random() < 0.3:
            store.retry(job.id, [1, 2])
        if random.random() < 0.3:
            print("removing", job.id, flush=True)
            store.remove(job.id)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
