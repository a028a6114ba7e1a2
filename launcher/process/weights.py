"""Brings an engine's weights into the cache: `python -m launcher.process.weights`, started by the supervisor.

A process of its own, because fetching takes memory and threads that the supervisor must not hold, and so that it can
be ended at any moment: what has arrived is on record, and the next one goes on from there.

Invariants: what is complete costs no request; the end of standard input ends it at once; it says ``ready`` only when
every file is there and verified.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import Any

from launcher.channel import Channel, ChannelError
from launcher.config import Config
from launcher.errors import ConfigError, LauncherError
from launcher.profiles.store import BUILTIN
from launcher.progress import Progress

#: Waiting for another process that fetches the same is silent; the supervisor wants to hear that this one lives.
_SIGN_OF_LIFE_S = 20.0


class Told:
    """The supervisor, as this process talks to it.

    Args:
        channel: to its control socket.
        component: who talks.
        stage: what it does first.
    """

    def __init__(self, channel: Channel, component: str = "weights", stage: str = "look") -> None:
        self._channel = channel
        self._component = component
        self._latest = Progress(stage)
        self._over = threading.Event()
        self.say("hello", pid=os.getpid())
        threading.Thread(target=self._live, name="signs of life", daemon=True).start()

    def say(self, event: str, **fields: Any) -> None:
        """Sends one event; ends the process when nobody hears it any more."""
        try:
            self._channel.send({"event": event, "component": self._component, **fields})
        except ChannelError:
            os._exit(1)

    def progress(self, progress: Progress) -> None:
        """How far it is."""
        self._latest = progress
        self.say("progress", progress=progress.to_json())

    def end(self) -> None:
        """No more signs of life."""
        self._over.set()

    def _live(self) -> None:
        while not self._over.wait(_SIGN_OF_LIFE_S):
            self.progress(self._latest)


def bring_weights(config: Config, engine: str, told: Told) -> None:
    """Makes sure that everything is in the cache.

    Raises:
        LauncherError: why it cannot be.
    """
    if config.app != BUILTIN:
        _bring_for_app(config, told)
        return
    from launcher.cache.layout import hub_cache
    from launcher.hub.bringing import bring, missing, needs, offline_error
    from launcher.hub.fetch import Reporting

    parts = needs(config, engine)
    lacking = missing(hub_cache(config), parts)
    if lacking and config.is_offline:
        raise offline_error(config, engine, lacking)
    if lacking:
        expected = {one.wanted: one.size_bytes for one in lacking}
        bring(config, [part.wanted for part in parts], Reporting(told.progress, _note), expected=expected)


def _bring_for_app(config: Config, told: Told) -> None:
    """What an app lacks, in its own folder as in the cache."""
    from launcher.hub.bringing import bring, offline_error
    from launcher.hub.fetch import Reporting
    from launcher.profiles.placing import bring as bring_for
    from launcher.profiles.placing import lacking
    from launcher.profiles.store import find, find_directory

    profile = find(config, config.app)
    directory = find_directory(config, profile)
    if config.is_offline:
        missing = [one for need, one in lacking(config, profile, directory) if not need.model.optional]
        if missing:
            raise offline_error(config, "", missing, models=[model.name for model in profile.models])
        return
    reporting = Reporting(told.progress, _note)
    bring_for(
        config,
        profile,
        directory,
        lambda parts, sizes: bring(
            config,
            [part.wanted for part in parts],
            reporting,
            expected={part.wanted: sizes[part] for part in parts},
        ),
        _note,
    )


def _note(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _end_with_supervisor() -> None:
    sys.stdin.buffer.read()
    os._exit(0)  # every byte that counts is on record


def main() -> int:
    """Runs with the settings from standard input; returns the exit code."""
    try:
        settings = json.loads(sys.stdin.buffer.readline())
        config, engine = Config.from_json(settings["config"]), str(settings["engine"])
        channel = Channel.connect(settings["control_address"], token=settings["control_token"], timeout_s=None)
    except (ValueError, KeyError, TypeError):
        _note("Weights are brought by the launcher: tts-launcher start")
        return ConfigError.exit_code
    except ChannelError:
        return 1
    threading.Thread(target=_end_with_supervisor, name="supervisor's end", daemon=True).start()
    told = Told(channel)
    try:
        bring_weights(config, engine, told)
    except LauncherError as error:
        _note(f"ERROR {error}")
        told.say("failed", message=error.message, fix=error.fix)
        return error.exit_code
    finally:
        told.end()
    told.say("ready", info={})
    return 0


if __name__ == "__main__":
    sys.stdout.flush()
    code = main()
    sys.stderr.flush()
    # Not sys.exit: it would wait for the thread that waits for the supervisor's end.
    os._exit(code)
