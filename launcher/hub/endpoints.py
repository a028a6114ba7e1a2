"""The places that weights come from: the built-in ones, ``HF_ENDPOINT``, ``LAUNCHER_MIRRORS`` and the mirrors file.

Which ones count::

    LAUNCHER_MIRRORS set         HF_ENDPOINT (if set), then the list or file, and nothing else
    DATA/mirrors.toml exists     HF_ENDPOINT (if set), then the file
    HF_ENDPOINT is a known one   it, then the other built-in ones
    HF_ENDPOINT is another one   it alone: a private network's traffic stays there
    nothing set                  the built-in ones

Invariants: an address appears once; a token belongs to one endpoint and is never part of a ``repr``; without
encryption only this machine, unless the user allows more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

from launcher.config import Config
from launcher.config.mirror_list import DEFAULT_CONNECTIONS, MirrorEntry, is_file, normal_url, parse_list
from launcher.config.parsers import BadValue, is_loopback, plain_secret
from launcher.errors import ConfigError
from launcher.hub.remote_files import kind_of

MASK = "********"
OFFICIAL_URL = "https://huggingface.co"
#: Kinds that speak the Hub's protocol; ``private`` is one that its user runs or rents.
HUB_KINDS = ("hub", "private")
#: Where ModelScope keeps a model of the Hub under another name (its bytes still have to match the Hub's digests).
MODELSCOPE_IDS = {
    "facebook/w2v-bert-2.0": "AI-ModelScope/w2v-bert-2.0",
    "funasr/campplus": "iic/speech_campplus_sv_zh-cn_16k-common",
    "nvidia/bigvgan_v2_22khz_80band_256x": "nv-community/bigvgan_v2_22khz_80band_256x",
}
MIRRORS_FILE_NAME = "mirrors.toml"
_TOKEN_FILE_MAX_BYTES = 4096


@dataclass(frozen=True, repr=False)
class Endpoint:
    """One place that serves models.

    Attributes:
        url: without a slash at its end.
        kind: ``hub`` or ``private`` (the Hub's protocol) or ``modelscope`` (bytes only).
        token: sent to this address alone; empty when there is none.
        weight: how much its speed counts against the others'.
        connections: at the same time.
        trusted: whether its word on commits and digests counts alone.
        source: where it was set: ``built-in``, ``HF_ENDPOINT``, ``LAUNCHER_MIRRORS`` or a file's path.
        ids: a repository's name at the Hub to its name here, where it differs.
    """

    url: str
    kind: str = "hub"
    token: str = ""
    weight: float = 1.0
    connections: int = DEFAULT_CONNECTIONS
    trusted: bool = False
    source: str = "built-in"
    ids: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __repr__(self) -> str:
        token = f", token={MASK!r}" if self.token else ""
        return f"Endpoint({self.url!r}, {self.kind!r}{token}, weight={self.weight:g}, connections={self.connections})"

    @property
    def speaks_hub(self) -> bool:
        """Whether it knows commits and answers as the Hub does."""
        return self.kind in HUB_KINDS

    @property
    def host(self) -> str:
        """Its host and port."""
        return urlsplit(self.url).netloc

    def owns(self, url: str) -> bool:
        """Whether ``url`` has this endpoint's scheme, host and port."""
        ours, other = urlsplit(self.url), urlsplit(url)
        return (ours.scheme, ours.netloc) == (other.scheme, other.netloc.lower())

    def name_of(self, repo_id: str) -> str:
        """The name that a repository of the Hub has here."""
        return self.ids.get(repo_id, repo_id)

    def api_url(self, repo_id: str) -> str:
        """Where the Hub's API speaks about a repository."""
        kind, name = kind_of(repo_id)
        return f"{self.url}/api/{kind}/{self.name_of(name)}"

    def model_url(self, repo_id: str, revision: str) -> str:
        """What names the commit of a revision; for ModelScope, which has none to compare, the listing."""
        if not self.speaks_hub:
            return self.listing_url(repo_id, revision)
        return f"{self.api_url(repo_id)}/revision/{quote(revision, safe='')}"

    def listing_url(self, repo_id: str, revision: str) -> str:
        """The first page of all files at a revision; ModelScope knows its newest only."""
        if not self.speaks_hub:
            name = self.name_of(repo_id)
            return f"{self.url}/api/v1/models/{name}/repo/files?Revision=master&Recursive=True"
        return f"{self.api_url(repo_id)}/tree/{quote(revision, safe='')}?recursive=true&expand=false"

    def file_url(self, repo_id: str, revision: str, path: str) -> str:
        """Where a file's bytes begin to be found; redirects may follow."""
        name = self.name_of(repo_id)
        if not self.speaks_hub:
            query = urlencode({"Revision": "master", "FilePath": path}, quote_via=quote)
            return f"{self.url}/api/v1/models/{name}/repo?{query}"
        return f"{self.url}/{name}/resolve/{quote(revision, safe='')}/{quote(path)}"


#: The public ones, by the word that stands for each in a list.
BUILT_IN: dict[str, Endpoint] = {
    "official": Endpoint(OFFICIAL_URL, trusted=True),
    "hf-mirror": Endpoint("https://hf-mirror.com"),
    "modelscope": Endpoint("https://www.modelscope.cn", "modelscope", ids=MODELSCOPE_IDS),
}


def mirrors_file(config: Config) -> Path | None:
    """The file that `launcher mirror add` writes; ``None`` when ``LAUNCHER_MIRRORS`` is a list."""
    if config.mirrors:
        return Path(config.mirrors) if is_file(config.mirrors) else None
    return config.data_dir / MIRRORS_FILE_NAME


def parse_endpoints(config: Config) -> tuple[Endpoint, ...]:
    """Every endpoint that the settings name, in the order of the user's wish; tokens are read from their files.

    Raises:
        ConfigError: naming the setting or file, the entry and the fix.
        StorageError: when a file cannot be read.
    """
    named = normal_url(config.standard["HF_ENDPOINT"]) if config.standard.get("HF_ENDPOINT") else ""
    hf_token = config.standard.get("HF_TOKEN", "")
    listed = _listed(config)
    if listed is None:
        known = {endpoint.url: endpoint for endpoint in BUILT_IN.values()}
        listed = tuple(BUILT_IN.values()) if not named or named in known else ()
    found: dict[str, Endpoint] = {}
    if named:
        same = next((one for one in listed if one.url == named), Endpoint(named))
        found[named] = replace(same, token=same.token or hf_token, trusted=True, source="HF_ENDPOINT")
    for one in listed:
        found.setdefault(one.url, one)
    if not named and OFFICIAL_URL in found and not found[OFFICIAL_URL].token:
        found[OFFICIAL_URL] = replace(found[OFFICIAL_URL], token=hf_token)
    for one in found.values():
        check_encryption(one, config)
    return tuple(found.values())


def _listed(config: Config) -> tuple[Endpoint, ...] | None:
    """What ``LAUNCHER_MIRRORS`` or the file says; ``None`` when neither says anything."""
    from launcher.hub.mirrors_file import read_mirrors

    file = mirrors_file(config)
    if file is None:
        base = config.dotenv_path.parent if config.dotenv_path else Path.cwd()
        return _endpoints(parse_list(config.mirrors), "LAUNCHER_MIRRORS", base)
    if not config.mirrors and not file.exists():
        return None
    return _endpoints(read_mirrors(file), str(file), file.parent)


def _endpoints(entries: tuple[MirrorEntry | str, ...], source: str, base: Path) -> tuple[Endpoint, ...]:
    found: dict[str, Endpoint] = {}
    for entry in entries:
        if isinstance(entry, str):
            words = BUILT_IN if entry == "builtin" else {entry: BUILT_IN[entry]}
            for endpoint in words.values():
                found.setdefault(endpoint.url, endpoint)
        else:
            found[entry.url] = endpoint_from(entry, source, base)
    return tuple(found.values())


def endpoint_from(entry: MirrorEntry, source: str, base: Path) -> Endpoint:
    """The endpoint that an entry describes, its token read; ``base`` is where a relative ``token_file`` starts from.

    Raises:
        ConfigError: when the token's file is missing or holds no token.
    """
    known = next((one for one in BUILT_IN.values() if one.url == entry.url), None)
    kind = known.kind if known and entry.kind == "hub" else entry.kind
    trusted = entry.trusted if entry.trusted is not None else kind == "private" or bool(known and known.trusted)
    ids = {**(MODELSCOPE_IDS if kind == "modelscope" else {}), **entry.ids}
    token = entry.token or (_read_token(entry, source, base) if entry.token_file else "")
    return Endpoint(entry.url, kind, token, entry.weight, entry.connections, trusted, source, ids)


def _read_token(entry: MirrorEntry, source: str, base: Path) -> str:
    try:
        path = base / Path(entry.token_file).expanduser()
        with path.open("rb") as file:
            text = file.read(_TOKEN_FILE_MAX_BYTES + 1).decode("ascii", errors="replace").strip()
    except (OSError, RuntimeError) as error:  # RuntimeError: a ~ without a home
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(
            f"{source}: the token_file {entry.token_file!r} of {entry.url} cannot be read ({reason}).",
            fix="Write the token into that file, alone on one line, or remove the option.",
        ) from None
    try:
        return plain_secret(text)
    except BadValue:
        raise ConfigError(
            f"{source}: the token_file {entry.token_file!r} of {entry.url} holds no token.",
            fix="It must hold the token alone, on one line, without quotes.",
        ) from None


def check_encryption(endpoint: Endpoint, config: Config) -> None:
    """Refuses an address without encryption beyond this machine, unless the settings allow it.

    Raises:
        ConfigError: naming the address and the fix.
    """
    parts = urlsplit(endpoint.url)
    if parts.scheme == "https" or config.allow_http_mirrors == "yes" or is_loopback(parts.hostname or ""):
        return
    raise ConfigError(
        f"{endpoint.source}: {endpoint.url} is not encrypted, so anyone on the way could change what it says.",
        fix=f"Use https://{parts.netloc}{parts.path}, or set LAUNCHER_ALLOW_HTTP_MIRRORS=yes.",
    )
