"""The real download code, against a server on this machine."""

import json
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from spert.corpora import load_corpus, types_of
from spert.corpora.conll04 import FILES

RECORD = {"tokens": ["Oslo"], "entities": [{"type": "Loc", "start": 0, "end": 1}], "relations": []}
TYPES = {"entities": {"Loc": {"short": "L", "verbose": "Location"}}, "relations": {}}


class Handler(SimpleHTTPRequestHandler):
    requests: list[str] = []

    def do_GET(self):
        self.requests.append(self.path)
        super().do_GET()

    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Serves CoNLL04's files, one sentence each, where the paper's authors do; the cache is empty."""
    published = tmp_path / "published" / "conll04"
    published.mkdir(parents=True)
    for part, name in FILES.items():
        (published / name).write_text(json.dumps(TYPES if part == "types" else [RECORD]))
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path / "published")))
    Handler.requests = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("SPERT_DATASETS_URL", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setattr("datasets.config.DOWNLOADED_DATASETS_PATH", str(tmp_path / "cache"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "cache"))
    yield server
    server.shutdown()
    server.server_close()


def test_files_are_downloaded_once(server, tmp_path):
    corpus = load_corpus("conll04")
    assert corpus.num_rows == {"train": 1, "validation": 1, "test": 1}
    assert list(types_of(corpus).entities) == ["Loc"]
    assert {path for path in Handler.requests if path.endswith(".json")} == {
        f"/conll04/{name}" for name in FILES.values()
    }
    seen = len(Handler.requests)
    assert load_corpus("conll04").num_rows == corpus.num_rows
    assert len(Handler.requests) - seen <= len(FILES), "at most a check for changes each"
    kept = [path for path in (tmp_path / "cache" / "spert").rglob("*") if path.is_file()]
    assert {path.name for path in kept} == set(FILES.values()), "and nothing else, such as a part of a download"
    assert {path.parent.name for path in kept} == {f"http_127.0.0.1_{server.server_port}_conll04"}


def test_a_missing_file_says_what_to_put_where(server, tmp_path):
    (tmp_path / "published" / "conll04" / FILES["test"]).unlink()
    with pytest.raises(
        ConnectionError,
        match=r"conll04_test\.json: .*Put conll04_test\.json and .* into a folder and name it .data_dir",
    ):
        load_corpus("conll04")


def test_no_server(server):
    server.shutdown()
    server.server_close()
    with pytest.raises(ConnectionError, match="SPERT_DATASETS_URL"):
        load_corpus("conll04")


def test_a_wrong_checksum_is_refused_and_not_kept(server, tmp_path):
    import hashlib

    from spert.corpora.download import PublishedFile, download_files

    good = hashlib.sha256((tmp_path / "published" / "conll04" / FILES["test"]).read_bytes()).hexdigest()
    (path,) = download_files("conll04", {"test": PublishedFile(FILES["test"], good)}, "").values()
    assert json.loads(Path(path).read_text()) == [RECORD]
    with pytest.raises(ValueError, match=r"conll04_test\.json: expected the SHA-256 0000, got .*Nothing was kept"):
        download_files("conll04", {"test": PublishedFile(FILES["test"], "0000")}, "")
    assert download_files("conll04", {"test": PublishedFile(FILES["test"], good)}, "")


def test_a_connection_that_breaks_leaves_nothing_behind(server, tmp_path, monkeypatch):
    def break_off(self):
        self.send_response(200)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        self.wfile.write(b'[{"tokens": [')
        self.wfile.flush()
        self.connection.close()

    serve = Handler.do_GET
    monkeypatch.setattr(Handler, "do_GET", break_off)
    with pytest.raises(ConnectionError, match="could not download"):
        load_corpus("conll04")
    monkeypatch.setattr(Handler, "do_GET", serve)
    assert load_corpus("conll04").num_rows["train"] == 1


def test_scierc_and_ade_are_downloaded(server, tmp_path):
    import tarfile

    from tests.test_named_corpora import TestScierc

    for name in ("scierc", "ade"):
        (tmp_path / "published" / name).mkdir()
    (tmp_path / "abstract.json").write_text(json.dumps(TestScierc.ABSTRACT))
    with tarfile.open(tmp_path / "published" / "scierc" / "sciERC_processed.tar.gz", "w:gz") as archive:
        for name in ("train", "dev", "test"):
            archive.add(tmp_path / "abstract.json", f"processed_data/json/{name}.json")
    assert load_corpus("scierc").num_rows == {"train": 2, "validation": 2, "test": 2}
    drug = {"tokens": ["a"], "entities": [{"type": "Drug", "start": 0, "end": 1}], "relations": []}
    types = {"entities": {"Drug": {}, "Adverse-Effect": {}}, "relations": {"Adverse-Effect": {}}}
    (tmp_path / "published" / "ade" / "ade_types.json").write_text(json.dumps(types))
    for part in ("train", "test"):
        (tmp_path / "published" / "ade" / f"ade_split_4_{part}.json").write_text(json.dumps([drug]))
    assert load_corpus("ade", fold=4).num_rows == {"train": 1, "test": 1}


PAGE = b"  <!DOCTYPE html><html><body>Log in to the network</body></html>"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (PAGE, r"got a web page, as a portal"),
        (b"<html>moved</html>", r"got a web page"),
        (b'[{"tokens": ["Os', r"expected JSON, but line 1, column 14 is not"),
        (b"", r"expected JSON, but line 1, column 1 is not"),
        (b"\x1f\x8b\x08", r"expected UTF-8, but byte 1"),
    ],
    ids=["portal", "page", "cut", "empty", "binary"],
)
def test_what_a_broken_server_sends_is_named_and_not_kept(server, tmp_path, content, message):
    published = tmp_path / "published" / "conll04" / FILES["test"]
    good = published.read_bytes()
    published.write_bytes(content)
    address = rf"http://127\.0\.0\.1:{server.server_port}/conll04/conll04_test\.json"
    with pytest.raises(ValueError, match=rf"conll04: {address}: .*{message}"):
        load_corpus("conll04")
    assert not list((tmp_path / "cache").rglob(f"*{FILES['test']}*")), "not even a part"
    published.write_bytes(good)
    assert load_corpus("conll04").num_rows["test"] == 1


def test_archives_are_read_whole_and_bounded(server, tmp_path, monkeypatch):
    import gzip

    from spert.corpora import download
    from spert.corpora.download import PublishedFile, download_files

    def fetch():
        (path,) = download_files("scierc", {"archive": PublishedFile("a.tar.gz")}, "").values()
        return Path(path).read_bytes()

    (tmp_path / "published" / "scierc").mkdir()
    published = tmp_path / "published" / "scierc" / "a.tar.gz"
    whole = gzip.compress(b"a" * 3000)
    monkeypatch.setattr(download, "MAX_UNPACKED", 2999)
    published.write_bytes(whole)
    with pytest.raises(ValueError, match=r"scierc/a\.tar\.gz: expected at most 2999 bytes unpacked, got more"):
        fetch()
    monkeypatch.setattr(download, "MAX_UNPACKED", 3000)
    for damaged in (whole[:-1], whole[:-8] + b"\0" * 8, whole[:20] + b"\xff\xff" + whole[22:], b"PK\x03\x04"):
        published.write_bytes(damaged)
        with pytest.raises(
            ValueError, match=r"scierc/a\.tar\.gz: expected a gzip archive, but it cannot be read whole"
        ):
            fetch()
    published.write_bytes(whole)
    assert fetch() == whole


def test_a_password_in_the_address_is_not_shown(server, tmp_path, monkeypatch):
    monkeypatch.setenv("SPERT_DATASETS_URL", f"http://me:secret@127.0.0.1:{server.server_port}")
    (tmp_path / "published" / "conll04" / FILES["test"]).unlink()
    with pytest.raises(ConnectionError, match=r"could not download http://127") as failed:
        load_corpus("conll04")
    assert "secret" not in str(failed.value)
    assert not [path for path in (tmp_path / "cache").rglob("*") if "secret" in path.name]


def test_errors_in_a_downloaded_file_name_it(server, tmp_path):
    (tmp_path / "published" / "conll04" / FILES["train"]).write_text('[{"tokens": ["Oslo"], "entities": 3}]')
    with pytest.raises(ValueError, match=r"http_127\.0\.0\.1_\d+_conll04/conll04_train\.json"):
        load_corpus("conll04")
