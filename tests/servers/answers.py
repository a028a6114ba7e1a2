"""What a test hub answers: the routes, and the faults that change an answer before its bytes.

Invariant: a route knows its scope and file before any fault is asked for, so that faults count right.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping
from urllib.parse import quote, urlencode

from tests.servers.bodies import send_file
from tests.servers.faults import FaultBox, Faults
from tests.servers.listings import model_info, modelscope_files, tree
from tests.servers.repos import Repo, RepoFile
from tests.servers.wire import Connection, Request

#: Entries of one page of the tree, as the Hub has it.
PAGE_SIZE = 1000
#: What the Hub's signed locations say of their life, in seconds.
_LIFETIME_S = 3600
_NO_MODEL_ROUTE = "no such page"


class _Short(Exception):  # noqa: N818 - an answer, not a failure
    """An answer without a file: a refusal or a redirect."""

    def __init__(self, status: int, message: str, code: str = "", **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = {name.replace("_", "-"): text for name, text in headers.items()}
        if code:
            self.headers |= {"X-Error-Code": code, "X-Error-Message": message}


class Answers:
    """The routes of a hub.

    Args:
        repos: ``org/name`` to repository.
        faults: the switches.
        origin_url: the origin of large files.
        token: needed for everything but the origin's locations; empty for none.
    """

    def __init__(self, repos: Mapping[str, Repo], faults: FaultBox, *, origin_url: str, token: str) -> None:
        self.repos = dict(repos)
        self._faults = faults
        self._origin_url = origin_url
        self._token = token
        self._serial = itertools.count(1)
        self._lock = threading.Lock()
        self._location_uses: dict[str, int] = {}

    def answer(self, connection: Connection, request: Request) -> None:
        """Answers one request, one way or another.

        Raises:
            Gone: when the connection is over afterwards.
        """
        try:
            self._route(connection, request)
        except _Short as short:
            connection.send_json(request, {"error": short.message}, short.status, short.headers)

    def _route(self, connection: Connection, request: Request) -> None:
        if request.method not in ("GET", "HEAD"):
            raise _Short(405, "only GET and HEAD")
        parts = request.segments
        if parts[0] == "origin":
            self._origin(connection, request, parts[1:])
            return
        if self._token and request.headers.get("authorization") != f"Bearer {self._token}":
            raise _Short(401, "Invalid credentials in Authorization header")
        if parts[:3] == ["api", "v1", "models"]:
            self._modelscope(connection, request, parts[3:])
        elif parts[:2] == ["api", "resolve-cache"]:
            self._resolve_cache(connection, request, parts[3:] if parts[2] == "models" else parts[2:])
        elif parts[:1] == ["api"] and parts[1] in ("models", "spaces", "datasets"):
            self._model(connection, request, parts[2:] if parts[1] == "models" else parts[1:])
        elif "resolve" in parts:
            self._resolve(connection, request, parts)
        else:
            raise _Short(404, _NO_MODEL_ROUTE)

    # What every route does

    def _begin(self, connection: Connection, request: Request, scope: str, path: str) -> Faults:
        """The request's faults; those that end it before its route does have happened already."""
        request.scope = scope
        faults = self._faults.pick(scope, path)
        if scope in faults.stall and scope != "body":
            connection.stall()
        if scope in faults.unavailable:
            raise _Short(503, "Service Unavailable")
        if scope in faults.too_many:
            after = {} if faults.retry_after_s is None else {"Retry_After": f"{faults.retry_after_s:g}"}
            raise _Short(429, "Too Many Requests", **after)
        if faults.redirect_to and scope in faults.redirected:
            raise _Short(308, "Permanent Redirect", Location=f"{faults.redirect_to}{request.path}")
        return faults

    def _at(self, repo_id: str, revision: str, faults: Faults) -> Repo:
        """The repository at a commit or a name; on a stale mirror as it was before."""
        repo = self.repos.get(repo_id)
        if repo is None:
            raise _Short(404, "Repository not found", "RepoNotFound")
        found = repo.previous if faults.stale else repo
        if revision == found.commit or revision in found.revisions:
            return found
        older = repo.given_previous
        if older is not None and revision == older.commit:
            return older
        raise _Short(404, f"Invalid rev id: {revision}", "RevisionNotFound")

    @staticmethod
    def _file(repo: Repo, path: str, faults: Faults) -> RepoFile:
        file = repo.files.get(path)
        if file is None or faults.not_found:
            raise _Short(404, "Entry not found", "EntryNotFound")
        return file

    # The Hub's routes

    def _model(self, connection: Connection, request: Request, parts: list[str]) -> None:
        words = ("revision", "tree", "xet-read-token")
        place = next((place for place, part in enumerate(parts) if part in words and place > 0), len(parts))
        repo_id, word, rest = "/".join(parts[:place]), *(parts[place : place + 1] or [""]), parts[place + 1 :]
        faults = self._begin(connection, request, "api", "")
        repo = self._at(repo_id, rest[0] if rest else "main", faults)
        if word == "xet-read-token":
            self._xet_token(connection, request, faults)
        elif word == "tree":
            self._tree(connection, request, repo, "/".join(rest[1:]), faults)
        else:
            connection.send_json(request, model_info(repo_id, repo), 200, self._commit_header(repo, faults))

    def _tree(self, connection: Connection, request: Request, repo: Repo, folder: str, faults: Faults) -> None:
        query = request.query
        entries = tree(
            repo,
            folder,
            recursive=query.get("recursive", "").lower() == "true",
            wrong_digest=faults.wrong_digest,
            offers_xet=bool(faults.xet_cas_url),
        )
        start, size = int(query.get("cursor") or 0), faults.page_size or int(query.get("limit") or PAGE_SIZE)
        headers = self._commit_header(repo, faults)
        if start + size < len(entries):
            following = urlencode({**query, "cursor": str(start + size)})
            headers["Link"] = f'<{request.base_url}{request.path.partition("?")[0]}?{following}>; rel="next"'
        connection.send_json(request, entries[start : start + size], 200, headers)

    @staticmethod
    def _xet_token(connection: Connection, request: Request, faults: Faults) -> None:
        headers = {
            "X-Xet-Cas-Url": faults.xet_cas_url,
            "X-Xet-Access-Token": "test-only",
            "X-Xet-Token-Expiration": "4102444800",
        }
        body = {"casUrl": faults.xet_cas_url, "accessToken": "test-only", "exp": 4102444800}
        connection.send_json(request, body, 200, headers)

    def _resolve(self, connection: Connection, request: Request, parts: list[str]) -> None:
        place = parts.index("resolve")
        repo_id, revision, path = "/".join(parts[:place]), parts[place + 1], "/".join(parts[place + 2 :])
        faults = self._begin(connection, request, "head", path)
        repo = self._at(repo_id, revision, faults)
        file = self._file(repo, path, faults)
        headers = self._commit_header(repo, faults)
        where = f"{repo_id}/{repo.commit}/{quote(path)}"
        kind = "" if parts[0] in ("spaces", "datasets") else "models/"
        if not file.large:
            raise _Short(307, "Temporary Redirect", Location=f"/api/resolve-cache/{kind}{where}", **headers)
        signed = urlencode({"Expires": _LIFETIME_S, "Signature": f"s{next(self._serial)}"})
        headers["Location"] = f"{self._origin_url}/origin/{where}?{signed}"
        headers |= self._names(file, faults, "X-Linked-Etag")
        if "size" not in faults.missing_headers:
            headers["X-Linked-Size"] = str(file.size)
        if faults.xet_cas_url:
            headers["X-Xet-Hash"] = file.sha256
            auth = f"{request.base_url}/api/models/{repo_id}/xet-read-token/{repo.commit}"
            headers["Link"] = f'<{auth}>; rel="xet-auth"'
        raise _Short(302, "Found", **headers)

    def _resolve_cache(self, connection: Connection, request: Request, parts: list[str]) -> None:
        # The commit is the first part of 40 hex digits: a name may have one part or two.
        place = next((place for place, part in enumerate(parts) if len(part) == 40), len(parts) - 1)
        repo_id, commit, path = "/".join(parts[:place]), parts[place], "/".join(parts[place + 1 :])
        faults = self._begin(connection, request, "body" if request.method == "GET" else "head", path)
        repo = self._at(repo_id, commit, faults)
        file = self._file(repo, path, faults)
        headers = {**self._commit_header(repo, faults), **self._names(file, faults, "ETag")}
        send_file(connection, request, file, headers, faults)

    def _origin(self, connection: Connection, request: Request, parts: list[str]) -> None:
        place = next((place for place, part in enumerate(parts) if len(part) == 40), len(parts) - 1)
        repo_id, commit, path = "/".join(parts[:place]), parts[place], "/".join(parts[place + 1 :])
        faults = self._begin(connection, request, "body", path)
        location = request.query.get("Signature", "")
        with self._lock:
            uses = self._location_uses[location] = self._location_uses.get(location, 0) + 1
        limit = faults.expire_after_requests
        if not location or (limit is not None and uses > limit):
            raise _Short(403, "Request has expired")
        file = self._file(self._at(repo_id, commit, faults), path, faults)
        # An origin knows nothing of commits, and its ETag is its own.
        headers = {} if "etag" in faults.missing_headers else {"ETag": f'"{file.sha256[:32]}"'}
        send_file(connection, request, file, headers, faults)

    # ModelScope's routes

    def _modelscope(self, connection: Connection, request: Request, parts: list[str]) -> None:
        place = parts.index("repo") if "repo" in parts else len(parts)
        repo_id, query = "/".join(parts[:place]), request.query
        is_listing = parts[place:] == ["repo", "files"]
        path = query.get("FilePath", "")
        if place == len(parts) or (not is_listing and not path):
            raise _Short(404, _NO_MODEL_ROUTE)
        scope = "api" if is_listing else "body" if request.method == "GET" else "head"
        faults = self._begin(connection, request, scope, path)
        revision = query.get("Revision", "master")
        repo = self._at(repo_id, "main" if revision == "master" else revision, faults)
        if is_listing:
            recursive = query.get("Recursive", "").lower() == "true"
            listing = modelscope_files(repo, recursive=recursive, wrong_digest=faults.wrong_digest)
            connection.send_json(request, listing)
            return
        send_file(connection, request, self._file(repo, path, faults), {}, faults)

    @staticmethod
    def _commit_header(repo: Repo, faults: Faults) -> dict[str, str]:
        return {} if "commit" in faults.missing_headers else {"X-Repo-Commit": repo.commit}

    @staticmethod
    def _names(file: RepoFile, faults: Faults, header: str) -> dict[str, str]:
        if "etag" in faults.missing_headers:
            return {}
        wrong = faults.wrong_etag or faults.wrong_digest
        return {header: f'"{(file.other_digest() if wrong else file).etag}"'}
