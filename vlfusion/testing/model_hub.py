"""A server on this machine that speaks the part of the Hugging Face hub's protocol that push and pull use."""

import base64
import hashlib
import json
import re
from urllib.parse import unquote, urlsplit

from vlfusion.testing.public_host import git_blob
from vlfusion.testing.servers import Answers, LocalServer


class _Protocol(Answers):
    """Answers of the hub: files of commits, and what `HfApi` asks to write them."""

    def do_HEAD(self) -> None:
        self._read()

    def do_GET(self) -> None:
        self._read()

    def _read(self) -> None:
        path = self._arrive()
        if file := re.fullmatch(r'/([^/]+/[^/]+)/resolve/([^/]+)/(.+)', path):
            self._file(file[1], unquote(file[2]), file[3])
        elif (info := re.fullmatch(r'/api/models/([^/]+/[^/]+)', path)) and info[1] in self.owner.repos:
            self._json({'id': info[1], 'private': info[1] in self.owner.private, 'siblings': [], 'tags': []})
        else:
            self.answer(404)

    def _file(self, repo: str, revision: str, name: str) -> None:
        commits = self.owner.repos.get(repo, {})
        if repo in self.owner.gated and not self._may():
            return self.answer(403, X_Error_Code='GatedRepo')
        if repo not in self.owner.repos or repo in self.owner.private and not self._may():
            return self.answer(404 if self._may() else 401, X_Error_Code='RepoNotFound')
        oid = list(commits)[-1] if revision == 'main' and commits else revision
        if oid not in commits and commits:
            return self.answer(404, X_Error_Code='RevisionNotFound')
        if name not in commits.get(oid, {}):
            return self.answer(404, X_Error_Code='EntryNotFound', X_Repo_Commit=oid)
        content = commits[oid][name]
        self.answer(200, content, X_Repo_Commit=oid, ETag=f'"{git_blob(content)}"')

    def do_PUT(self) -> None:
        path, body = self._arrive(), self._body()
        self.owner.objects[path.removeprefix('/objects/')] = body
        self.answer(200)

    def do_POST(self) -> None:
        path, body = self._arrive(), self._body()
        if path == '/api/validate-yaml':
            return self._json({'errors': [], 'warnings': []})
        if not self._may():
            return self.answer(401)
        if path == '/api/repos/create':
            return self._create(json.loads(body))
        if match := re.fullmatch(r'/api/models/([^/]+/[^/]+)/(preupload|commit)/main', path):
            return {'preupload': self._preupload, 'commit': self._commit}[match[2]](match[1], body)
        if match := re.fullmatch(r'/([^/]+/[^/]+)\.git/info/lfs/objects/batch', path):
            return self._batch(json.loads(body)['objects'])
        self.answer(404)

    def _create(self, wish: dict) -> None:
        repo = f'{wish["organization"]}/{wish["name"]}'
        if repo.startswith('stranger/'):
            return self.answer(403)
        if repo in self.owner.repos:
            return self._json({'error': 'It exists', 'url': f'{self.owner.address}/{repo}'}, 409)
        self.owner.repos[repo] = {}
        if wish.get('visibility') == 'private':
            self.owner.private.add(repo)
        self._json({'url': f'{self.owner.address}/{repo}'})

    def _preupload(self, repo: str, body: bytes) -> None:
        self._json({'files': [{'path': file['path'], 'shouldIgnore': False, 'oid': None,
                               'uploadMode': 'lfs' if file['path'].endswith('.safetensors') else 'regular'}
                              for file in json.loads(body)['files']]})

    def _batch(self, objects: list[dict]) -> None:
        def upload(oid: str) -> dict:
            return {'upload': {'href': f'{self.owner.address}/objects/{oid}'}}
        self._json({'transfer': 'basic', 'objects': [{**item, 'actions': upload(item['oid'])} for item in objects]})

    def _commit(self, repo: str, body: bytes) -> None:
        files = {}
        for line in body.splitlines():
            entry = json.loads(line)
            if entry['key'] == 'file':
                files[entry['value']['path']] = base64.b64decode(entry['value']['content'])
            elif entry['key'] == 'lfsFile':
                files[entry['value']['path']] = self.owner.objects[entry['value']['oid']]
        oid = self.owner.commit(repo, files)
        self._json({'success': True, 'commitOid': oid, 'commitUrl': f'{self.owner.address}/{repo}/commit/{oid}'})

    def _arrive(self) -> str:
        path = urlsplit(self.path).path
        self.owner.requests.append((self.command, path))
        return path

    def _may(self) -> bool:
        return self.headers['Authorization'] == f'Bearer {self.owner.token}'

    def _body(self) -> bytes:
        if self.headers['Transfer-Encoding'] != 'chunked':
            return self.rfile.read(int(self.headers['Content-Length'] or 0))
        body = b''
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _json(self, value: dict, status: int = 200) -> None:
        self.answer(status, json.dumps(value).encode(), Content_Type='application/json')


class ModelHub(LocalServer):
    """Keep repositories in memory, and serve them until the block ends.

        with ModelHub(token='hf_0123456789') as hub:
            monkeypatch.setenv('HF_ENDPOINT', hub.address)

    Args:
        token: the token that may create, write and read everything. Others read public repositories.

    Attributes:
        repos: the commits of each repository by their id, oldest first; a commit maps paths to contents.
        private: names of the private repositories.
        gated: names of the repositories whose owner grants access.
        requests: method and path of each request.
    """

    answers = _Protocol

    def __init__(self, token: str = 'hf_0123456789'):
        self.token = token
        self.repos: dict[str, dict[str, dict[str, bytes]]] = {}
        self.private: set[str] = set()
        self.gated: set[str] = set()
        self.objects: dict[str, bytes] = {}
        self.requests: list[tuple[str, str]] = []

    def commit(self, repo: str, files: dict[str, bytes]) -> str:
        """Add files to the newest version of a repository, and return the id of the commit."""
        commits = self.repos.setdefault(repo, {})
        files = {**(list(commits.values())[-1] if commits else {}), **files}
        oid = hashlib.sha1(f'{repo} {len(commits)}'.encode()).hexdigest()
        commits[oid] = files
        return oid
