"""The funnel drawn alone, as `hornbook curate` leaves it beside the stages."""

import re

import pytest

from hornbook.report.build import draw_funnel


def stages(sources: list[str]) -> list[dict]:
    """Two stages: the second keeps half of every source, the last source apart."""

    def counts(into: int, out: int) -> dict[str, int]:
        return {"documents_in": into, "documents_out": out} | {
            "bytes_in": into * 1000,
            "bytes_out": out * 1000,
        }

    def stage(name: str, kept: int) -> dict:
        by_source = {source: counts(10, kept) for source in sources}
        n = len(sources)
        gone = {"documents": n * (10 - kept), "bytes": n * (10 - kept) * 1000}
        return {
            "name": name,
            **counts(10 * n, kept * n),
            "reasons": {"too short": gone} if kept < 10 else {},
            "by_source": by_source,
            "examples": {},
            "skipped": [],
            "skipped_count": {},
        }

    return [stage("extract", 10), stage("filter", 5)]


def colours(path) -> set[str]:
    return set(re.findall(r'fill="(#[0-9a-f]{6})', path.read_text()))


@pytest.mark.parametrize("count", [1, 3, 6, 40])
def test_every_source_has_its_colour_up_to_six(tmp_path, count):
    draw_funnel("run", stages([f"source {n}" for n in range(count)]), tmp_path / "a")
    draw_funnel("run", stages(["only"]), tmp_path / "one")
    more = colours(tmp_path / "a") - colours(tmp_path / "one")
    assert len(more) == (0 if count == 1 else min(count, 6) - 1)


def test_names_of_sources_are_printed_never_obeyed(tmp_path):
    names = ["#panic()", "*bold*", "$x$", "a" * 300, "<b>&amp;", "文書"]
    draw_funnel("#include", stages(names), tmp_path / "a.svg")
    assert (tmp_path / "a.svg").read_text().startswith("<svg")
