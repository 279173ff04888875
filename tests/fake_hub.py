"""A small server that speaks as much of the Hub's API as its client needs to push, fetch and list.

Repositories are in memory: every commit is a whole tree of files. Large files go the way of LFS.
"""

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
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

TOKEN = "hf_test"
_LARGE = (".safetensors", ".parquet", ".png")
_API = re.compile(r"/api/(model|dataset)s/([\w.-]+/[\w.-]+)(?:/(\w+)(?:/([^/]+))?)?")
_FILE = re.compile(r"/(?:(dataset)s/)?([\w.-]+/[\w.-]+)/resolve/([^/]+)/(.+)")
_LFS = re.compile(r"/(?:datasets/)?[\w.-]+/[\w.-]+\.git/info/lfs/objects/batch")


@dataclass
class Repo:
    """Commits by hash, and the branches that point to them."""

    private: bool = False
    gated: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)

    def commit(self, tree: dict[str, bytes], branch: str = "main") -> str:
        parts = [branch.encode(), str(len(self.commits)).encode()]
        name = hashlib.sha1(b"".join([*parts, *(k.encode() + v for k, v in tree.items())]))
        self.commits[name.hexdigest()] = tree
        self.branches[branch] = name.hexdigest()
        return name.hexdigest()

    def tree(self, revision: str = "main") -> dict[str, bytes]:
        return self.commits[self.branches.get(revision, revision)]


class FakeHub:
    """What the server holds, and what was asked of it."""

    def __init__(self) -> None:
        self.repos: dict[tuple[str, str], Repo] = {}
        self.objects: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.refuses: int | None = None  # a status to answer everything with
        self.endpoint = ""

    def repo(self, name: str, kind: str = "model") -> Repo:
        return self.repos[kind, name]

    def change(self, name: str, path: str, content: bytes | None, kind: str = "model") -> str:
        """Somebody else commits a file, or removes it."""
        repo = self.repo(name, kind)
        tree = {**repo.tree(), path: content or b""}
        if content is None:
            del tree[path]
        return repo.commit(tree)


@contextmanager
def serving() -> Iterator[FakeHub]:
    hub = FakeHub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Answer(Exception):  # noqa: N818 - it is no error
    def __init__(self, status: int, body: Any = b"", **headers: str) -> None:
        super().__init__(status)
        self.status = status
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.headers = {key.replace("_", "-"): value for key, value in headers.items()}


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None: ...

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        self.hub.asked.append(f"{self.command} {unquote(parts.path)}")
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.query = parse_qs(parts.query)
        try:
            if self.hub.refuses:
                raise _Answer(self.hub.refuses, {"error": "not today"})
            self._route(parts.path)
            raise _Answer(404, {"error": f"the fake Hub does not know {self.path}"})
        except _Answer as answer:
            self.send_response(answer.status)
            for key, value in answer.headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)

    do_GET = do_HEAD = do_POST = do_PUT = _serve  # noqa: N815

    def _route(self, path: str) -> None:
        if path == "/api/repos/create":
            self._create()
        if path == "/api/validate-yaml":
            raise _Answer(200, {"errors": [], "warnings": []})
        if path == "/api/models":
            raise _Answer(200, self._listed(self.query.get("filter", [])))
        if _LFS.fullmatch(path):
            self._batch()
        if path.startswith("/objects/"):
            self.hub.objects[path.rpartition("/")[2]] = self.body
            raise _Answer(200)
        if found := _API.fullmatch(path):
            kind, name, what, revision = found.groups()
            getattr(self, f"_{what or 'revision'}")(kind, name, unquote(revision or "main"))
        if found := _FILE.fullmatch(path):
            self._resolve(found[1] or "model", *(unquote(part) for part in found.groups()[1:]))

    @property
    def _known(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _found(self, kind: str, name: str) -> Repo:
        repo = self.hub.repos.get((kind, name))
        if repo is None or (repo.private and not self._known):
            raise _Answer(404 if self._known else 401, X_Error_Code="RepoNotFound")
        return repo

    def _to_write(self, kind: str, name: str) -> Repo:
        if not self._known:
            raise _Answer(401, {"error": "Invalid username or password."})
        return self._found(kind, name)

    def _create(self) -> None:
        asked = json.loads(self.body)
        if not self._known or asked["organization"] == "others":
            raise _Answer(403 if self._known else 401, {"error": "you may not"})
        name = f"{asked['organization'] or 'me'}/{asked['name']}"
        kind = asked.get("type") or "model"
        prefix = "" if kind == "model" else f"{kind}s/"
        url = {"url": f"{self.hub.endpoint}/{prefix}{name}"}
        if (kind, name) in self.hub.repos:
            raise _Answer(409, url)
        private = asked.get("visibility") == "private" or asked.get("private", False)
        made = self.hub.repos[kind, name] = Repo(private)
        made.commit({".gitattributes": b"*.safetensors filter=lfs\n"})
        raise _Answer(200, url)

    def _branch(self, kind: str, name: str, branch: str) -> None:
        repo = self._to_write(kind, name)
        if branch in repo.branches:
            raise _Answer(409, {"error": "there is one"})
        repo.branches[branch] = repo.branches["main"]
        raise _Answer(200, {})

    def _preupload(self, kind: str, name: str, revision: str) -> None:
        self._to_write(kind, name)
        paths = [file["path"] for file in json.loads(self.body)["files"]]
        modes = {path: "lfs" if path.endswith(_LARGE) else "regular" for path in paths}
        told = [{"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": None}
                for path, mode in modes.items()]  # fmt: skip
        raise _Answer(200, {"files": told})

    def _batch(self) -> None:
        objects = json.loads(self.body)["objects"]
        place = f"{self.hub.endpoint}/objects"
        told = [{**one, "actions": {"upload": {"href": f"{place}/{one['oid']}"}}}
                for one in objects]  # fmt: skip
        raise _Answer(200, {"transfer": "basic", "objects": told})

    def _commit(self, kind: str, name: str, branch: str) -> None:
        repo = self._to_write(kind, name)
        lines = [json.loads(line) for line in self.body.splitlines()]
        header, *operations = [(line["key"], line["value"]) for line in lines]
        if header[1].get("parentCommit", repo.branches[branch]) != repo.branches[branch]:
            raise _Answer(412, {"error": "the branch has moved"})
        tree = dict(repo.tree(branch))
        for key, value in operations:
            if key == "file":
                tree[value["path"]] = base64.b64decode(value["content"])
            elif key == "lfsFile":
                tree[value["path"]] = self.hub.objects[value["oid"]]
            else:
                del tree[value["path"]]
        made = repo.commit(tree, branch)
        url = f"{self.hub.endpoint}/{name}/commit/{made}"
        raise _Answer(200, {"commitUrl": url, "commitOid": made, "hookOutput": ""})

    def _tree_of(self, repo: Repo, revision: str) -> tuple[str, dict[str, bytes]]:
        commit = repo.branches.get(revision, revision)
        if commit not in repo.commits:
            raise _Answer(404, X_Error_Code="RevisionNotFound")
        return commit, repo.commits[commit]

    def _revision(self, kind: str, name: str, revision: str) -> None:
        repo = self._found(kind, name)
        commit, tree = self._tree_of(repo, revision)
        raise _Answer(200, self._about(name, repo, commit, tree))

    def _about(self, name: str, repo: Repo, commit: str, tree: dict[str, bytes]) -> dict[str, Any]:
        files = [{"rfilename": path, "size": len(content)} for path, content in tree.items()]
        return {"id": name, "sha": commit, "private": repo.private, "siblings": files, "tags": [],
                "lastModified": "2026-01-02T03:04:05.000Z"}  # fmt: skip

    def _listed(self, tags: list[str]) -> list[dict[str, Any]]:
        found = []
        for (kind, name), repo in self.hub.repos.items():
            _, *parts = repo.tree().get("README.md", b"").decode().split("---\n", 2)
            said = yaml.safe_load(parts[0]) if parts else {}
            seen = kind == "model" and (self._known or not repo.private)
            if seen and {*tags} <= {*said.get("tags", [])}:
                about = self._about(name, repo, repo.branches["main"], repo.tree())
                found.append({**about, "cardData": said})
        return found

    def _resolve(self, kind: str, name: str, revision: str, path: str) -> None:
        repo = self._found(kind, name)
        if repo.gated:
            raise _Answer(403, X_Error_Code="GatedRepo")
        commit, tree = self._tree_of(repo, revision)
        if path not in tree:
            raise _Answer(404, X_Error_Code="EntryNotFound", X_Repo_Commit=commit)
        etag = f'"{hashlib.sha256(tree[path]).hexdigest()}"'
        raise _Answer(200, tree[path], ETag=etag, X_Repo_Commit=commit)
