"""Enough of the Hub's HTTP interface for the real client: accounts, private repositories, commits, large files.

In a test: `with HubServer() as hub`; `hub.url` is HF_ENDPOINT, `hub.repos` and `hub.requests` show what happened.
"""

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

ACCOUNTS = {"hf_writer": "org", "hf_stranger": "stranger"}


@dataclass
class Repo:
    """A repository: its commits, oldest first, each a name and all of its files. Spaces are named `spaces/org/name`."""

    private: bool = False
    commits: list[tuple[str, dict[str, bytes]]] = field(default_factory=list)

    def files(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        if revision == "main":
            return self.commits[-1]
        return next(((name, files) for name, files in self.commits if name == revision), None)


class HubServer:
    """Runs in a thread of this process. `cut_uploads` makes that many uploads of large files break off half-way."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.large: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.cut_uploads = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "HubServer":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.answer("GET")

    def do_HEAD(self) -> None:
        self.answer("HEAD")

    def do_POST(self) -> None:
        self.answer("POST")

    def do_PUT(self) -> None:
        self.answer("PUT")

    def answer(self, method: str) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{method} {path}")
        for wanted, pattern, action in ROUTES:
            found = re.fullmatch(pattern, path)
            if found and method in wanted:
                return action(self, *found.groups())
        return self.reply(404, {"error": f"no such page: {path}"})

    def owns(self, repo_id: str) -> bool:
        return self.account == repo_id.split("/")[-2]

    @property
    def account(self) -> str | None:
        return ACCOUNTS.get((self.headers.get("Authorization") or "").removeprefix("Bearer "))

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def reply(self, status: int, content: Any = None, headers: dict[str, str] | None = None) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def readable_at(self, repo_id: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """Commit and files, or none and an answer."""
        repo = self.readable(repo_id)
        found = repo.files(revision) if repo is not None else None
        if repo is not None and found is None:
            self.reply(404, {"error": "no such revision"}, {"X-Error-Code": "RevisionNotFound"})
        return found

    def readable(self, repo_id: str) -> Repo | None:
        """The repository, or none and an answer that says no as the Hub does."""
        repo = self.hub.repos.get(repo_id)
        if repo is not None and (not repo.private or self.owns(repo_id)):
            return repo
        self.reply(401, {"error": "Invalid username or password."}, {"X-Error-Code": "RepoNotFound"})
        return None

    def writable(self, repo_id: str) -> Repo | None:
        if self.account is None:
            self.reply(401, {"error": "Invalid username or password."})
        elif not self.owns(repo_id):
            self.reply(403, {"error": "You don't have the rights to write here."})
        else:
            return self.hub.repos[repo_id]
        return None

    def whoami(self) -> None:
        if self.account is None:
            return self.reply(401, {"error": "Invalid username or password."})
        return self.reply(200, {"name": self.account, "type": "user", "auth": {"accessToken": {"role": "write"}}})

    def create(self) -> None:
        wanted = json.loads(self.body())
        if self.account is None:
            return self.reply(401, {"error": "Invalid username or password."})
        repo_id = f"{wanted.get('organization') or self.account}/{wanted['name']}"
        if wanted.get("type") == "space":
            assert wanted["sdk"] == "gradio"
            repo_id = f"spaces/{repo_id}"
        if not self.owns(repo_id):
            return self.reply(403, {"error": "You don't have the rights to create a model here."})
        known = repo_id in self.hub.repos
        if not known:
            private = wanted.get("private") or wanted.get("visibility") == "private"
            self.hub.repos[repo_id] = Repo(bool(private), [("0" * 40, {})])
        return self.reply(409 if known else 200, {"url": f"{self.hub.url}/{repo_id}", "name": repo_id, "id": repo_id})

    def validate(self) -> None:
        self.body()
        self.reply(200, {"errors": [], "warnings": []})

    def preupload(self, repo_id: str, revision: str) -> None:
        files = json.loads(self.body())["files"]
        if self.writable(repo_id) is not None:
            modes = [("lfs" if one["path"].endswith((".safetensors", ".png")) else "regular") for one in files]
            answers = [
                {"path": one["path"], "uploadMode": mode, "shouldIgnore": False, "oid": None}
                for one, mode in zip(files, modes)
            ]
            self.reply(200, {"files": answers, "commitOid": self.hub.repos[repo_id].commits[-1][0]})

    def lfs_batch(self, repo_id: str) -> None:
        wanted = json.loads(self.body())
        if self.writable(repo_id) is not None:
            objects = []
            for one in wanted["objects"]:
                upload = {"upload": {"href": f"{self.hub.url}/upload/{one['oid']}", "header": {}}}
                objects.append(one | ({} if one["oid"] in self.hub.large else {"actions": upload}))
            self.reply(200, {"transfer": "basic", "objects": objects})

    def upload(self, oid: str) -> None:
        if self.hub.cut_uploads > 0:
            self.hub.cut_uploads -= 1
            self.rfile.read(1000)
            self.close_connection = True
            self.connection.close()
            return
        content = self.body()
        assert hashlib.sha256(content).hexdigest() == oid
        self.hub.large[oid] = content
        self.reply(200, {})

    def commit(self, repo_id: str, revision: str) -> None:
        lines = [json.loads(line) for line in self.body().splitlines() if line]
        repo = self.writable(repo_id)
        if repo is None:
            return
        files = dict(repo.commits[-1][1])
        for line in lines:
            if line["key"] == "file":
                files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            elif line["key"] == "lfsFile":
                files[line["value"]["path"]] = self.hub.large[line["value"]["oid"]]
            elif line["key"] == "deletedFile":
                files.pop(line["value"]["path"], None)
        name = hashlib.sha1(f"{repo_id}{len(repo.commits)}".encode()).hexdigest()
        repo.commits.append((name, files))
        self.reply(200, {"commitUrl": f"{self.hub.url}/{repo_id}/commit/{name}", "commitOid": name, "success": True})

    def info(self, repo_id: str, revision: str | None = None) -> None:
        found = self.readable_at(repo_id, revision or "main")
        if found is not None:
            siblings = [{"rfilename": name} for name in found[1]]
            about = {"id": repo_id.removeprefix("spaces/"), "modelId": repo_id, "sha": found[0], "siblings": siblings}
            about["private"] = self.hub.repos[repo_id].private
            self.reply(200, about | {"tags": [], "downloads": 0, "likes": 0})

    def tree(self, repo_id: str, revision: str, folder: str | None = None) -> None:
        found = self.readable_at(repo_id, revision)
        if found is None:
            return
        inside = {name: data for name, data in found[1].items() if folder is None or name.startswith(folder + "/")}
        if folder is not None and not inside:
            self.reply(404, {"error": "no such folder"}, {"X-Error-Code": "EntryNotFound"})
            return
        entries = [{"type": "file", "path": name, "size": len(data), "oid": "0" * 40} for name, data in inside.items()]
        self.reply(200, entries)

    def resolve(self, repo_id: str, revision: str, name: str) -> None:
        found = self.readable_at(repo_id, revision)
        if found is None:
            return
        if name not in found[1]:
            self.reply(404, {"error": "no such file"}, {"X-Error-Code": "EntryNotFound"})
            return
        data = found[1][name]
        headers = {"X-Repo-Commit": found[0], "ETag": f'"{hashlib.sha256(data).hexdigest()}"'}
        self.reply(200, data, headers)


_REPO = r"([\w.-]+/[\w.-]+)"
_SPACE = r"spaces/[\w.-]+/[\w.-]+"
ROUTES: list[tuple[set[str], str, Any]] = [
    ({"GET"}, r"/api/whoami-v2", _Handler.whoami),
    ({"POST"}, r"/api/repos/create", _Handler.create),
    ({"POST"}, r"/api/validate-yaml", _Handler.validate),
    ({"POST"}, rf"/api/models/{_REPO}/preupload/([\w.-]+)", _Handler.preupload),
    ({"POST"}, rf"/{_REPO}\.git/info/lfs/objects/batch", _Handler.lfs_batch),
    ({"PUT"}, r"/upload/(\w+)", _Handler.upload),
    ({"POST"}, rf"/api/models/{_REPO}/commit/([\w.-]+)", _Handler.commit),
    ({"GET"}, rf"/api/models/{_REPO}", _Handler.info),
    ({"GET"}, rf"/api/models/{_REPO}/revision/([\w.-]+)", _Handler.info),
    ({"GET"}, rf"/api/models/{_REPO}/tree/([\w.-]+)(?:/(.+))?", _Handler.tree),
    ({"GET", "HEAD"}, rf"/{_REPO}/resolve/([\w.-]+)/(.+)", _Handler.resolve),
    ({"POST"}, rf"/api/({_SPACE})/preupload/([\w.-]+)", _Handler.preupload),
    ({"POST"}, rf"/api/({_SPACE})/commit/([\w.-]+)", _Handler.commit),
    ({"GET"}, rf"/api/({_SPACE})", _Handler.info),
]
