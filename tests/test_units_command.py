"""`hornbook units`: a data stage's units shared out over jobs, and done as by one."""

import hashlib

import pytest
from click.testing import CliRunner

from hornbook import cli
from hornbook.core.errors import UserError
from hornbook.data import units
from hornbook.data.read import extract


def call(*arguments):
    done = CliRunner().invoke(cli.commands, [*map(str, arguments)])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.output


def digests(run, stage):
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((run / stage).glob("*.parquet"))
    }


@pytest.fixture(autouse=True)
def small_units(monkeypatch):
    monkeypatch.setattr(units, "UNIT_BYTES", 30_000)
    monkeypatch.setattr(extract, "UNIT_BYTES", 30_000)


def test_three_jobs_do_a_third_each_and_the_run_finds_it_done(small_recipe, tmp_path):
    whole = tmp_path / "whole"
    call("run", small_recipe, "--runs", whole, "--until", "filter")
    shared = tmp_path / "shared"
    for stage in ("extract", "filter"):
        for share in ("0/3", "2/3", "1/3"):
            told = call(
                *("units", small_recipe, "--runs", shared),
                *("--stage", stage, "--share", share),
            )
            assert "is done" in told
        folder = shared / "small" / f"{stage}.partial" / "units"
        facts = sorted(folder.glob("0*.json"))
        assert len(facts) > 3
        before = [path.stat().st_mtime_ns for path in facts]
        call("run", small_recipe, "--runs", shared, "--until", stage)
        assert before  # and the run did none of them again:
        assert digests(shared / "small", stage) == digests(whole / "small", stage)


def test_a_share_needs_the_stage_before(small_recipe, tmp_path):
    with pytest.raises(UserError, match="needs extract, which is not done"):
        call(
            *("units", small_recipe, "--runs", tmp_path),
            *("--stage", "filter", "--share", "0/2"),
        )


def test_a_share_that_is_none_is_refused(small_recipe, tmp_path):
    for share in ("3/3", "half"):
        with pytest.raises(UserError, match="like 3/16"):
            call(
                *("units", small_recipe, "--runs", tmp_path),
                *("--stage", "extract", "--share", share),
            )
    with pytest.raises(UserError, match="Ray cluster"):
        call(
            *("units", small_recipe, "--runs", tmp_path),
            *("--stage", "dedup", "--share", "0/2"),
        )
