"""The PDF itself: no warnings, repeatable, whatever the facts hold; nothing off the page."""

import itertools
import json
import re
import unicodedata

import pymupdf
import pytest

from hornbook.report.build import compile_report, complete, write_report
from hornbook.report.facts import SECTIONS, to_facts

FRAME = pymupdf.Rect(41, 20, 535, 680)  # where anything may stand, in points


def build(table):
    pdf, warnings = compile_report(complete(to_facts(table)))
    assert warnings == []
    return pymupdf.open(stream=pdf)


def text_of(document):
    text = "\n".join(page.get_text() for page in document)
    return unicodedata.normalize("NFKC", text).replace("\u200b", "")


def flat(text):
    return re.sub(r"\s+", "", text)


def assert_well_set(document):
    """Every glyph exists, is set in our fonts, and stands within the frame."""
    for number, page in enumerate(document, start=1):
        for span in page.get_texttrace():
            assert re.search("libertinus|dejavu", span["font"].lower())
            line = "".join(chr(char[0]) for char in span["chars"])
            for code, glyph, _, box in span["chars"]:
                assert glyph != 0, (
                    f"no glyph for U+{code:04X} in {line!r} on page {number}"
                )
                if chr(code).isspace():
                    continue  # blanks may hang over the end of a line
                assert box[0] > FRAME.x0, (
                    f"{line!r} starts at {box[0]} on page {number}"
                )
                assert box[2] < FRAME.x1, f"{line!r} ends at {box[2]} on page {number}"
                assert box[3] > FRAME.y0, f"{line!r} is above page {number}"
                assert box[1] < FRAME.y1, f"{line!r} is below page {number}"


def test_a_full_report_compiles_without_a_warning_and_is_well_set(fake_facts):
    document = build(fake_facts)
    assert 7 <= len(document) <= 14
    assert_well_set(document)
    assert "Nothing: every section of this report has its facts" in flatter(document)


def flatter(document):
    return re.sub(r"\s+", " ", text_of(document))


def test_lines_of_text_do_not_overlap(fake_facts):
    for page in build(fake_facts):
        boxes = [
            (pymupdf.Rect(line["bbox"]), "".join(s["text"] for s in line["spans"]))
            for block in page.get_text("dict")["blocks"]
            for line in block.get("lines", [])
        ]
        boxes = [(shrunk(box), text) for box, text in boxes if text.strip()]
        for (a, one), (b, other) in itertools.combinations(boxes, 2):
            assert not a.intersects(b), (
                f"{one!r} and {other!r} on page {page.number + 1}"
            )


def shrunk(box):
    """The part of a line's box that ink fills; boxes include line spacing."""
    air = box.height * 0.28
    return pymupdf.Rect(box.x0 + 0.6, box.y0 + air, box.x1 - 0.6, box.y1 - air)


def test_no_page_but_the_last_is_half_empty(fake_facts):
    document = build(fake_facts)
    for page in list(document)[:-1]:
        lowest = max(block[3] for block in page.get_text("blocks"))
        assert lowest > 0.6 * page.rect.height, (
            f"page {page.number + 1} ends at {lowest}"
        )


def test_no_heading_is_left_alone_at_the_end_of_a_page(fake_facts):
    for page in build(fake_facts):
        spans = [
            span
            for block in page.get_text("dict")["blocks"]
            for line in block.get("lines", [])
            for span in line["spans"]
        ]
        lowest = max(spans, key=lambda span: span["bbox"][3])
        assert lowest["size"] < 12, f"{lowest['text']} ends page {page.number + 1}"


def test_numbers_are_found_again_in_the_text(fake_facts):
    text = flat(text_of(build(fake_facts)))
    total = sum(fake_facts["model"]["parameters"].values())
    for number in (
        "1.463",  # bits per byte
        str(total),
        "8.19M",  # tokens seen
        "2.3passes",
        "13:23",  # wall clock
        "31204113"[:2] + ".2MB",
        "42.9%",  # kept by the funnel
        "0.522to0.709",
        "14.1MB",
        "13min19s",  # the stages together
        "11of11hold",
    ):
        assert number in text, number


def test_two_builds_are_byte_identical(fake_facts, tmp_path):
    for name in ("one", "two"):
        write_report(fake_facts, tmp_path / name)
    for file in ("report.pdf", "report.json"):
        assert (tmp_path / "one" / file).read_bytes() == (
            tmp_path / "two" / file
        ).read_bytes()
    assert sorted(p.name for p in (tmp_path / "one").iterdir()) == [
        "report.json",
        "report.pdf",
    ]


def test_the_json_holds_the_facts_and_can_be_reported_again(fake_facts, tmp_path):
    write_report(fake_facts, tmp_path)
    stored = json.loads((tmp_path / "report.json").read_text())
    assert stored["evals"][0]["value"] == fake_facts["evals"][0]["value"]
    assert stored["samples"][4]["text"] == fake_facts["samples"][4]["text"]
    assert max(len(s["pts"]) for s in stored["series"].values()) <= 600
    write_report(stored, tmp_path / "again")
    again = (tmp_path / "again" / "report.pdf").read_bytes()
    assert again == (tmp_path / "report.pdf").read_bytes()


@pytest.mark.parametrize("section", [*SECTIONS, "stages", "checks", "events", "evals"])
def test_any_section_may_be_missing_and_is_listed(fake_facts, section):
    if section == "pretrain":
        for name in [n for n in fake_facts["series"] if n.startswith("pretrain/")]:
            del fake_facts["series"][name]
    elif section == "post":
        fake_facts["series"] = {
            n: s for n, s in fake_facts["series"].items() if n.startswith("pretrain/")
        }
        del fake_facts["post"]
    else:
        del fake_facts[section]
    document = build(fake_facts)
    assert_well_set(document)
    if section in SECTIONS:
        said = flatter(document).split("Not recorded")[1]
        assert f"no facts about {SECTIONS[section]}" in said


def test_a_run_of_which_nothing_but_its_name_is_known():
    document = build({"run": {"name": "bare"}})
    assert_well_set(document)
    text = flatter(document)
    assert "bare" in text
    for words in SECTIONS.values():
        assert words in text


HOSTILE = [
    '#panic("run") #import "x" $ x^2 $ *bold* _em_ `raw` // gone? <label> @ref \\ [a] = H',
    "https://example.org/" + "a" * 300,
    "x" * 3000,
    "\U0001f600\U0001f468\u200d\U0001f469 \u4f60\u597d",
    "\u05e9\u05dc\u05d5\u05dd and \u0634\u0643\u0631\u0627 (abc)",
    "\x00\x01\x1b[31m\u202eevil\u202c\u200b\ufeff\ud800 z\u0351\u0352\u0353\u0354\u0355",
    "\n" * 60 + "late",
    "    indented\n" + "\t" * 30 + "deep\n" + " " * 400 + "far",
    "a\r\nb\rc\u2028d\u2029e\x0bf\x0cg",
    "",
    " ",
    '{"json": "\\u0000"}',
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_text_from_data_is_printed_never_obeyed(fake_facts, text):
    """Hostile text in every place that data reach."""
    fake_facts["run"]["name"] = text or "x"
    for step in fake_facts["funnel"]:
        step["reasons"][text] = {"documents": 0, "bytes": 0}
        step["examples"][text] = [{"text": text, "path": text, "note": text}]
        step["skipped"] = [{"path": text, "reason": text}]
        step["skipped_count"] = {text: 1}
    fake_facts["sources"][0]["name"] = text
    fake_facts["tokenizer"]["longest"] = [text] * 5
    fake_facts["tokenizer"]["examples"] = [[text, "a", text]]
    fake_facts["tokenizer"]["bytes_per_token"] = {text: 3.0}
    fake_facts["environment"] = {text: text, "device": text}
    fake_facts["config"]["data"]["sources"][0]["path"] = text
    fake_facts["config"][text] = {text: text}
    fake_facts["config_changed"]["data.sources.0.path"] = text
    fake_facts["events"][0]["text"] = text
    fake_facts["training"]["references"] = {text: 5.0}
    fake_facts["evals"][0].update(
        task=text, metric=text, note=text, baselines={text: 1.0}
    )
    for sample in fake_facts["samples"]:
        sample.update(text=text, prompt=text)
    for transcript in fake_facts["transcripts"]:
        transcript["note"] = text
        for turn in transcript["turns"]:
            turn["content"] = text
    fake_facts["stages"][0].update(name=text, note=text)
    fake_facts["checks"][0].update(id=text, text=text)
    fake_facts["artifacts"][0].update(path=text, sha256=text)
    fake_facts["commands"] = [text]
    assert_well_set(build(fake_facts))


def test_markup_in_a_sample_comes_out_letter_by_letter(fake_facts):
    fake_facts["samples"][0]["text"] = HOSTILE[0]
    assert flat(HOSTILE[0]) in flat(text_of(build(fake_facts)))


def test_values_that_are_no_numbers_don_t_stop_the_report(fake_facts, tmp_path):
    nan, inf = float("nan"), float("inf")
    fake_facts["series"]["pretrain/loss"]["pts"][5:9] = [(5, nan), (6, inf), (7, -inf)]
    fake_facts["series"]["sft/loss"]["pts"] = [(0, nan)]
    fake_facts["series"]["dpo/margin"]["pts"] = []
    fake_facts["evals"][0].update(value=nan, ci95=[nan, nan], baselines={"xz": nan})
    fake_facts["run"]["seconds"] = nan
    fake_facts["model"]["flops_per_token"] = inf
    assert_well_set(build(fake_facts))
    write_report(fake_facts, tmp_path)
    assert (
        json.loads((tmp_path / "report.json").read_text())["evals"][0]["value"] is None
    )


@pytest.mark.parametrize("values", [(-1.0, -2.0), (0.0, 0.0), (-1e-9, 3.0)])
def test_results_below_zero_and_at_zero_can_be_drawn(fake_facts, values):
    value, other = values
    fake_facts["evals"][0].update(
        value=value, ci95=[value - 0.1, value], baselines={"other": other}
    )
    assert_well_set(build(fake_facts))


def test_flat_single_and_extreme_curves_can_be_drawn(fake_facts):
    def curve(*pts):
        return {"pts": list(pts)}

    fake_facts["series"] |= {
        "pretrain/flat": curve((0, 3.0), (5, 3.0)),
        "pretrain/zero": curve((0, 0.0), (5, 0.0)),
        "pretrain/one": curve((7, 1e-9)),
        "pretrain/huge": curve((0, -1e18), (1e12, 1e18)),
        "pretrain/tiny": curve((0, 1e-12), (1, 3e-12)),
        "pretrain/rate": curve((0, 0.0), (1, 3e-4)),
    }
    assert_well_set(build(fake_facts))


def test_a_long_run_with_much_of_everything_stays_within_limits(fake_facts):
    fake_facts["events"] *= 200
    fake_facts["artifacts"] *= 100
    fake_facts["samples"] *= 20
    fake_facts["evals"] *= 20
    fake_facts["transcripts"] *= 40
    fake_facts["stages"] *= 6
    fake_facts["checks"] *= 60
    fake_facts["config"] |= {
        f"table{k}": {f"key{i}": i for i in range(40)} for k in range(8)
    }
    document = build(fake_facts)
    assert_well_set(document)
    assert len(document) < 60
    text = flatter(document)
    assert "and 376 more events" in text
    assert "and 440 more files" in text


def test_changed_keys_are_marked(fake_facts):
    text = flat(text_of(build(fake_facts)))
    assert "0.1→0.05" in text
    assert "32→16" in text


def test_a_failed_check_comes_first_in_the_verdict(fake_facts):
    fake_facts["checks"] += [{"id": "last one", "ok": False, "text": "This went wrong"}]
    document = build(fake_facts)
    first_page = document[0].get_text()
    assert "✗" in first_page
    assert first_page.index("This went wrong") < first_page.index("The first loss")
    assert "10 of 12 hold" not in flatter(document)
    assert "11 of 12 hold" in flatter(document)


def test_the_pdf_knows_its_title_and_chapters(fake_facts):
    document = build(fake_facts)
    assert document.metadata["title"] == "Run report: hello"
    toc = document.get_toc()
    titles = [title for level, title, _ in toc if level == 1]
    assert titles == [
        "The data: what was kept and why",
        "What was thrown away",
        "The tokenizer",
        "The model",
        "The loss in full",
        "Health",
        "Post-training",
        "Evaluation",
        "What it writes, over time",
        "Conversations",
        "Where the time went",
        "The exact recipe",
        "Where it came from",
        "Checks",
    ]
