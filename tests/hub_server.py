"""A small loopback server that speaks the part of the hub's HTTP API that the client's downloads and uploads use."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"
_FILE = re.compile(r"/(?P<repo>[\w.-]+/[\w.-]+)/resolve/(?P<revision>[^/]+)/(?P<file>[^?]+)")
_INFO = re.compile(r"/api/models/(?P<repo>[\w.-]+/[\w.-]+)/(?P<what>revision|tree)/(?P<revision>[^/?]+)(\?.*)?")
_COMMITS = re.compile(r"/api/models/(?P<repo>[\w.-]+/[\w.-]+)/(?P<action>preupload|commit)/main")


@dataclass
class Hub:
    """Repos by name, each a dictionary of file contents, and what was asked.

    Attributes:
        token: what readers of `private` repos have to bear.
        cut: files whose first transfer breaks off after half of their bytes.
        requests: (method, path, range) in order.
    """

    repos: dict[str, dict[str, bytes]]
    token: str = "hf_secret"
    private: frozenset[str] = frozenset()
    cut: set[str] = field(default_factory=set)
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    url: str = ""

    def fetched(self) -> list[str]:
        """Names of the files whose content was asked for."""
        asked = [_FILE.fullmatch(path) for method, path, _ in self.requests if method == "GET"]
        return [match["file"] for match in asked if match]


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """The hub on a free port of this machine, as `hub.url`."""

    class Handler(_Handler):
        shown = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    shown: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Silence."""

    def do_HEAD(self) -> None:
        self._file(with_body=False)

    def do_GET(self) -> None:
        if self.path == "/fetched":
            self._answer(self.shown.fetched())
        elif _INFO.fullmatch(self.path):
            self._info()
        else:
            self._file(with_body=True)

    def do_POST(self) -> None:
        hub, body = self.shown, self.rfile.read(int(self.headers.get("Content-Length") or 0))
        hub.requests.append((self.command, self.path, None))
        if self.headers.get("Authorization") != f"Bearer {hub.token}":
            return self._refuse(401, "")
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            repo = f"{asked.get('organization') or 'someone'}/{asked['name']}"
            hub.repos.setdefault(repo, {})
            if asked.get("visibility") == "private" or asked.get("private"):
                hub.private |= {repo}
            return self._answer({"url": f"{hub.url}/{repo}", "name": repo, "id": repo})
        match = _COMMITS.fullmatch(self.path)
        if not match or match["repo"] not in hub.repos:
            return self._refuse(404, "RepoNotFound")
        if match["action"] == "preupload":
            files = [{"path": f["path"], "uploadMode": "regular"} for f in json.loads(body)["files"]]
            return self._answer({"files": [{**f, "shouldIgnore": False} for f in files]})
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                hub.repos[match["repo"]][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        return self._answer({"commitUrl": f"{hub.url}/{match['repo']}/commit/{COMMIT}", "commitOid": COMMIT})

    def _answer(self, data: Any) -> None:
        body = json.dumps(data).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _info(self) -> None:
        """The commit that a revision stands for, or the files of a commit."""
        hub, match = self.shown, _INFO.fullmatch(self.path)
        hub.requests.append((self.command, self.path, None))
        assert match
        if refusal := self._refusal(match["repo"], match["revision"]):
            return self._refuse(*refusal)
        if match["what"] == "revision":
            return self._answer({"id": match["repo"], "sha": COMMIT, "private": False, "tags": [], "siblings": []})
        files = hub.repos[match["repo"]]
        return self._answer(
            [{"type": "file", "path": name, "size": len(files[name]), "oid": "0" * 40} for name in files]
        )

    def _refusal(self, repo: str, revision: str) -> tuple[int, str] | None:
        """Status and code where the repo is not to be read."""
        hub = self.shown
        if repo in hub.private and self.headers.get("Authorization") != f"Bearer {hub.token}":
            return 401, "RepoNotFound"
        if repo not in hub.repos:
            return 404, "RepoNotFound"
        return None if revision in ("main", COMMIT) else (404, "RevisionNotFound")

    def _file(self, with_body: bool) -> None:
        hub = self.shown
        hub.requests.append((self.command, self.path, self.headers.get("Range")))
        match = _FILE.fullmatch(self.path)
        if not match:
            return self._refuse(404, "RepoNotFound")
        repo, name = match["repo"], match["file"]
        if refusal := self._refusal(repo, match["revision"]):
            return self._refuse(*refusal)
        if name not in hub.repos[repo]:
            return self._refuse(404, "EntryNotFound")
        content = hub.repos[repo][name]
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        start = int(asked[1]) if asked else 0
        self.send_response(206 if asked else 200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("Content-Length", str(len(content) - start))
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if not with_body:
            return None
        if name in hub.cut:
            hub.cut.remove(name)
            self.wfile.write(content[start : start + (len(content) - start) // 2])
            self.wfile.flush()
            self.close_connection = True
            self.connection.close()
            return None
        self.wfile.write(content[start:])
        return None
