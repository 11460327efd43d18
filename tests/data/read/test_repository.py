"""Repositories made with git itself: every kind of entry, whole, bare, broken and nested."""

import os
import shutil
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from hornbook.core.errors import UserError
from hornbook.data.config import DataConfig
from hornbook.data.documents import read_documents
from hornbook.data.read import extract as extract_module
from hornbook.data.read import gitobjects
from hornbook.data.read.config import GitSource
from hornbook.data.read.extract import extract
from hornbook.data.read.sources import probe

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="there is no git here")

MIT = (
    "Permission is hereby granted, free of charge, to any person obtaining a copy of it.\n"
    "The above copyright notice and this permission notice shall be included in all copies\n"
)
CODE = "def f(x):\n    return x + 1\n"


def git(folder: Path, *arguments: str) -> str:
    who = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.org"}
    who |= {k.replace("AUTHOR", "COMMITTER"): v for k, v in who.items()}
    done = subprocess.run(
        ["git", "-c", "protocol.file.allow=always", "-C", str(folder), *arguments],
        env=os.environ | who | {"GIT_CONFIG_GLOBAL": "/dev/null"},
        capture_output=True,
        check=True,
        text=True,
    )
    return done.stdout.strip()


def commit(folder: Path, files: dict[str, str | bytes], message="some work") -> str:
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / ".git").exists():
        git(folder, "init", "-q", "-b", "main")
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        raw = content if isinstance(content, bytes) else content.encode()
        path.write_bytes(raw)
    git(folder, "add", "-A", "-f")
    git(folder, "commit", "-q", "-m", message)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path) -> Path:
    folder = tmp_path / "project"
    commit(
        folder,
        {
            "LICENSE": MIT,
            "src/a.py": CODE,
            "src/b.c": "/* SPDX-License-Identifier: GPL-2.0-only */\nint b;\n",
            "bin/tool": "#!/usr/bin/env python3\nprint('hi')\n",
            "inner/COPYING": "GNU GENERAL PUBLIC LICENSE Version 3, 29 June 2007",
            "inner/deep/c.rs": "fn main() {}\n",
            "grün/ß.py": "x = 'grün'\n",
            'odd "name"\n.py': "y = 2\n",
            "node_modules/m/index.js": "module.exports = 1\n",
            "data.bin": b"\0\1\2",
            "image.py": b"\x89PNG\0\0",
            "latin.py": "# -*- coding: latin-1 -*-\ns = 'gr\xfcn'\n".encode("latin-1"),
            "weights.txt": "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n",
            "notes": "just words",
        },
    )
    (folder / "link.py").symlink_to("src/a.py")
    commit(folder, {})
    return folder


def read(path, out, **settings):
    source = GitSource(path=str(path), **settings)
    facts = extract(DataConfig(sources=(source,), workers=1), out)
    return {d.path: d.text for d in read_documents(out)}, facts


def origins(out):
    ids = {d.id: d.path for d in read_documents(out)}
    rows = pq.read_table(out / "sources.parquet").to_pylist()
    return {ids[r["id"]]: (r["licence"], r["language"]) for r in rows}


def test_code_comes_with_its_licence_and_language(repository, tmp_path):
    found, facts = read(repository, tmp_path / "out")
    assert origins(tmp_path / "out") == {
        "LICENSE": ("MIT", "text"),
        "bin/tool": ("MIT", "python"),
        "grün/ß.py": ("MIT", "python"),
        "inner/COPYING": ("GPL-3.0", "text"),
        "inner/deep/c.rs": ("GPL-3.0", "rust"),
        "latin.py": ("MIT", "python"),
        'odd "name"\n.py': ("MIT", "python"),
        "src/a.py": ("MIT", "python"),
        "src/b.c": ("GPL-2.0-only", "c"),
    }
    assert found["src/a.py"] == CODE
    assert "grün" in found["latin.py"]
    assert facts["licence"]["GPL-2.0-only"]["documents"] == 1
    assert facts["language"]["python"]["documents"] == 5
    assert facts["skipped_count"] == {
        "a Git LFS pointer": 1,
        "a symbolic link": 1,
        "binary": 1,
        "no known language": 2,
        "vendored": 1,
    }


def test_a_bare_repository_gives_the_same_as_a_working_tree(repository, tmp_path):
    bare = tmp_path / "bare" / "project.git"
    git(tmp_path, "clone", "-q", "--bare", str(repository), str(bare))
    whole, _ = read(repository, tmp_path / "one")
    assert read(bare, tmp_path / "two")[0] == whole
    assert read(repository, tmp_path / "three", revision="")[0] == whole
    ids = [
        {d.id for d in read_documents(tmp_path / o)} for o in ("one", "two", "three")
    ]
    assert ids[0] == ids[1] == ids[2]


def test_only_wanted_languages_and_licences_come(repository, tmp_path):
    found, facts = read(repository, tmp_path / "a", languages=("python", "c"))
    assert {path.split("/")[0] for path in found} == {
        *("bin", "grün", "latin.py", 'odd "name"\n.py', "src"),
    }
    assert facts["skipped_count"]["not one of 'languages'"] == 4  # text, rust
    found, facts = read(repository, tmp_path / "b", licences=("GPL-2.0", "GPL-3.0"))
    assert set(found) == {"inner/COPYING", "inner/deep/c.rs", "src/b.c"}
    assert facts["skipped_count"]["licence not one of 'licences'"] == 6
    vendored, _ = read(repository, tmp_path / "c", vendored=True)
    assert "node_modules/m/index.js" in vendored


def test_a_revision_is_what_is_read(repository, tmp_path):
    old = git(repository, "rev-parse", "HEAD")
    git(repository, "tag", "v1")
    commit(repository, {"src/a.py": "changed = 1\n"})
    (repository / "src/a.py").write_text("uncommitted = 1\n")
    for revision in (old, "v1", "HEAD~1"):
        found, _ = read(repository, tmp_path / revision[:4], revision=revision)
        assert found["src/a.py"] == CODE
    assert read(repository, tmp_path / "h")[0]["src/a.py"] == "changed = 1\n"
    found, _ = read(repository, tmp_path / "w", revision="")
    assert found["src/a.py"] == "uncommitted = 1\n"


def test_a_submodule_is_named_and_not_entered(repository, tmp_path):
    commit(tmp_path / "other", {"x.py": "x = 1\n"})
    git(repository, "submodule", "add", "-q", str(tmp_path / "other"), "sub")
    commit(repository, {})
    found, facts = read(repository, tmp_path / "out")
    assert not any(path.startswith("sub/") for path in found)
    assert facts["skipped_count"]["a submodule"] == 1


def test_a_folder_of_repositories_and_loose_files(tmp_path):
    root = tmp_path / "code"
    commit(root / "one", {"a.py": "a = 1\n", "LICENSE": MIT})
    commit(root / "deep" / "two", {"b.py": "b = 2\n"})
    git(tmp_path, "clone", "-q", "--bare", str(root / "one"), str(root / "m.git"))
    (root / "loose.go").write_text("package main\n")
    (root / "empty").mkdir()
    git(root / "empty", "init", "-q")
    found, facts = read(root, tmp_path / "out")
    assert sorted(found) == [
        "deep/two/b.py",
        "loose.go",
        "m.git/LICENSE",
        "m.git/a.py",
        "one/LICENSE",
        "one/a.py",
    ]
    assert origins(tmp_path / "out")["one/a.py"][0] == "MIT"
    assert origins(tmp_path / "out")["loose.go"][0] == "unknown"
    assert facts["skipped_count"]["no revision of that name"] == 1


def test_the_order_is_fixed_and_workers_change_nothing(
    repository, tmp_path, monkeypatch
):
    monkeypatch.setattr(extract_module, "MANY_BYTES", 0, raising=False)
    monkeypatch.setattr(extract_module, "UNIT_BYTES", 30, raising=False)
    source = GitSource(path=str(repository))
    results = []
    for workers in (1, 2):
        out = tmp_path / str(workers)
        facts = extract(DataConfig(sources=(source,), workers=workers), out)
        table = pq.read_table(out / "sources.parquet")
        results.append((facts, list(read_documents(out)), table))
    assert results[0] == results[1]


def test_the_probe_follows_the_commit_alone(repository):
    config = DataConfig(sources=(GitSource(path=str(repository)),))
    before = probe(config)
    (repository / "src/a.py").write_text("uncommitted = 1\n")
    assert probe(config) == before
    commit(repository, {"new.py": "n = 1\n"})
    assert probe(config) != before


def test_a_damaged_object_costs_one_file(repository, tmp_path):
    blob = git(repository, "rev-parse", "HEAD:src/a.py")
    loose = repository / ".git/objects" / blob[:2] / blob[2:]
    loose.chmod(0o644)
    loose.write_bytes(b"damaged")
    found, facts = read(repository, tmp_path / "out")
    assert "src/a.py" not in found
    assert "src/b.c" in found
    reasons = {s["path"]: s["reason"] for s in facts["skipped"]}
    assert "cannot be read" in reasons["src/a.py"]


def test_a_partial_clone_fetches_nothing(repository, tmp_path):
    git(repository, "config", "uploadpack.allowFilter", "true")
    partial = tmp_path / "partial.git"
    url = f"file://{repository}"
    git(tmp_path, "clone", "-q", "--bare", "--filter=blob:none", url, str(partial))
    with pytest.raises(UserError, match="gave no document"):
        read(partial, tmp_path / "out")


def test_wrong_settings_are_explained(repository, tmp_path, monkeypatch):
    with pytest.raises(UserError, match="no 'revision' named 'nope'"):
        read(repository, tmp_path / "out", revision="nope")
    with pytest.raises(UserError, match="no 'revision' named '--all'"):
        read(repository, tmp_path / "out", revision="--all")
    with pytest.raises(UserError, match="no folder"):
        read(tmp_path / "missing", tmp_path / "out")
    with pytest.raises(UserError, match=r"unknown language 'pyton'.*did"):
        read(repository, tmp_path / "out", languages=("pyton",))
    monkeypatch.setattr(gitobjects, "_command", lambda *_: ["no-such-git"])
    with pytest.raises(UserError, match="needs the program git"):
        read(repository, tmp_path / "out")


def test_hooks_and_settings_of_a_repository_run_nothing(repository, tmp_path):
    trace = tmp_path / "ran"
    program = tmp_path / "evil"
    program.write_text(f"#!/bin/sh\ntouch {trace}\ncat\n")
    program.chmod(0o755)
    for key in ("core.fsmonitor", "core.pager", "filter.x.smudge", "diff.x.textconv"):
        git(repository, "config", key, str(program))
    commit(repository, {".gitattributes": "* filter=x diff=x\n"})
    trace.unlink(missing_ok=True)  # `git add` may have run it
    read(repository, tmp_path / "out")
    assert not trace.exists()
