"""Atomic writing, staging names, and JSON that says where it is wrong."""

import os
from pathlib import Path

import pytest

from spert import files
from spert.files import (
    atomic_file,
    atomic_folder,
    atomic_writer,
    is_partial,
    parse_json,
    partial_path,
    publish,
    read_json,
    read_json_lines,
    remove,
    remove_partials,
    write_json,
)

OF_OTHERS = [
    ".my_impartial_notes",
    ".partial-credit",
    ".notes.partial",
    ".spert-partial",
    "x.0f3a.spert-partial",
    ".x.0F.spert-partial",
    ".x..spert-partial",
    ".x.0f3a.spert-partial.txt",
    ".x.0f3a-spert-partial",
]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


class TestPartials:
    @pytest.mark.parametrize("name", OF_OTHERS)
    def test_names_of_others(self, name):
        assert not is_partial(name)

    @pytest.mark.parametrize(
        "name", ["x", "metrics.json", "step-00000001", "mit Leerzeichen", "日本語", ".hidden", "a\nb"]
    )
    def test_names_of_ours(self, name, tmp_path):
        for staging in (partial_path(tmp_path / name), partial_path(tmp_path / name, "shared")):
            assert is_partial(staging)
            assert staging.parent == tmp_path
            assert staging.name.startswith(f".{name}.")
        assert partial_path(tmp_path / name) != partial_path(tmp_path / name)
        assert partial_path(tmp_path / name, "1a") == partial_path(tmp_path / name, "1a")

    @pytest.mark.parametrize("tag", ["", "A", "a-b"])
    def test_tags(self, tag):
        with pytest.raises(ValueError, match="expected a tag of lower-case letters and digits"):
            partial_path("x", tag)

    def test_only_what_this_project_wrote_is_removed(self, tmp_path):
        for name in OF_OTHERS[::2]:
            (tmp_path / name).mkdir()
            (tmp_path / name / "kept").touch()
        for name in OF_OTHERS[1::2]:
            (tmp_path / name).touch()
        partial_path(tmp_path / "file.json").touch()
        (partial_path(tmp_path / "folder") / "inside").mkdir(parents=True)
        deeper = partial_path(tmp_path / OF_OTHERS[0] / "not.directly.in.it")
        deeper.touch()
        remove_partials(tmp_path)
        assert names(tmp_path) == sorted(OF_OTHERS)
        assert all((tmp_path / name / "kept").is_file() for name in OF_OTHERS[::2])
        assert deeper.is_file()

    def test_a_link_is_removed_and_not_what_it_points_to(self, tmp_path):
        kept = tmp_path / "kept"
        kept.mkdir()
        (kept / "file").touch()
        partial_path(tmp_path / "x").symlink_to(kept)
        remove_partials(tmp_path)
        remove_partials(tmp_path / "none")
        assert names(tmp_path) == ["kept"]
        assert (kept / "file").is_file()
        remove(tmp_path / "none")


class TestAtomicWriting:
    @pytest.mark.parametrize("write", [atomic_writer, atomic_file])
    def test_two_writers_of_one_file(self, tmp_path, write):
        def fill(opened, content):
            opened.write_text(content) if isinstance(opened, Path) else opened.write(content)

        target = tmp_path / "x.txt"
        with write(target) as first:
            fill(first, "first")
            with write(target) as second:
                fill(second, "second")
            assert target.read_text() == "second"
        assert target.read_text() == "first"
        assert names(tmp_path) == ["x.txt"]

    def test_a_failure_leaves_the_old_file_and_nothing_else(self, tmp_path):
        write_json(tmp_path / "x.json", 1)
        for write in (atomic_writer, atomic_file):
            with pytest.raises(KeyError), write(tmp_path / "x.json"):
                raise KeyError
        with pytest.raises(TypeError, match="not JSON serializable"):
            write_json(tmp_path / "x.json", object())
        assert names(tmp_path) == ["x.json"]
        assert read_json(tmp_path / "x.json") == 1

    def test_content_is_on_disk_before_it_has_its_name(self, tmp_path, monkeypatch):
        events = []
        flush, replace = files._flush, os.replace
        monkeypatch.setattr(files, "_flush", lambda path: (events.append(Path(path).name), flush(path)))
        monkeypatch.setattr(os, "replace", lambda *paths: (events.append("renamed"), replace(*paths)))
        staging = partial_path(tmp_path / "folder", "1")
        (staging / "inner").mkdir(parents=True)
        (staging / "inner" / "file").touch()
        publish(staging, tmp_path / "folder")
        assert set(events[:3]) == {"inner", "file", staging.name}
        assert events[3:] == ["renamed", tmp_path.name]
        events.clear()
        with atomic_file(tmp_path / "x") as staging:
            staging.touch()
        assert events == [staging.name, "renamed", tmp_path.name]

    def test_published_files_have_the_permissions_of_new_files(self, tmp_path):
        with atomic_file(tmp_path / "x") as staging:
            staging.touch(mode=0o600)
        (tmp_path / "new").touch()
        assert (tmp_path / "x").stat().st_mode == (tmp_path / "new").stat().st_mode

    def test_a_folder_without_its_last_file_until_all_are_there(self, tmp_path, monkeypatch):
        target = tmp_path / "model"
        for content in ("old", "new"):
            moved = []
            replace = os.replace

            def watched(source, place, replace=replace, moved=moved):
                if Path(place).name != "config.json":
                    assert not (target / "config.json").exists()
                moved.append(Path(place).name)
                replace(source, place)

            with monkeypatch.context() as patched, atomic_folder(target) as staging:
                patched.setattr(os, "replace", watched)
                assert is_partial(staging)
                for name in ("config.json", "model.safetensors", "code/a.py"):
                    (staging / name).parent.mkdir(exist_ok=True)
                    (staging / name).write_text(content)
            assert moved[-1] == "config.json"
            assert (target / "code" / "a.py").read_text() == content
            (target / "kept").touch()
        assert names(target) == ["code", "config.json", "kept", "model.safetensors"]
        with pytest.raises(KeyError), atomic_folder(target):
            raise KeyError
        assert names(target) == ["code", "config.json", "kept", "model.safetensors"]


class TestJson:
    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"[1, 2", r"expected JSON, but line 1, column 6 is not: Expecting ',' delimiter"),
            (b'{\n"a" 1}', r"expected JSON, but line 2, column 5 is not"),
            (b'"\xff"', r"expected UTF-8, but byte 1 cannot be decoded: invalid start byte"),
            ("[1]".encode("utf-16"), r"expected UTF-8, but byte 0 cannot be decoded"),
            (b"[" * 200_000, r"expected JSON, got values that are nested too deeply"),
            (b"1" * 5_000, r"expected JSON, got an integer with too many digits"),
            (b"None", r"expected JSON, but line 1, column 1 is not"),
        ],
    )
    def test_faults(self, tmp_path, content, message):
        with pytest.raises(ValueError, match=f"^{message}"):
            parse_json(content)
        (tmp_path / "x.json").write_bytes(content)
        with pytest.raises(ValueError, match=rf"x\.json: {message}"):
            read_json(tmp_path / "x.json")
        (tmp_path / "x.jsonl").write_bytes(b"1\n\n" + content.replace(b"\n", b" ") + b" 1")
        with pytest.raises(ValueError, match=r"x\.jsonl, line 3: expected "):
            list(read_json_lines(tmp_path / "x.jsonl"))

    def test_values(self, tmp_path):
        (tmp_path / "x.jsonl").write_bytes(b'\xef\xbb\xbf{"a": "\xc3\xa9"}\r\n\n 2 ')
        assert list(read_json_lines(tmp_path / "x.jsonl")) == [(1, {"a": "é"}), (3, 2)]
        (tmp_path / "x.json").write_bytes(b"\xef\xbb\xbf[1]")
        assert read_json(tmp_path / "x.json") == [1]
        write_json(tmp_path / "new" / "x.json", {"é": [1]})
        assert (tmp_path / "new" / "x.json").read_text() == '{\n  "é": [\n    1\n  ]\n}\n'
