"""The picture of a model shows what is configured, and every box lies on the page."""

import re
from xml.etree import ElementTree

import pytest
from shapes import SWITCHES, tiny

from hornbook.model.draw import draw
from hornbook.model.presets import PRESETS

SVG = "{http://www.w3.org/2000/svg}"


def words(picture: str) -> str:
    return " | ".join(
        e.text or "" for e in ElementTree.fromstring(picture).iter(SVG + "text")
    )


@pytest.mark.parametrize("config", [*map(tiny, SWITCHES), *PRESETS.values()])
def test_every_box_lies_on_the_page_and_no_two_overlap(config):
    root = ElementTree.fromstring(draw(config))
    width, height = float(root.get("width", 0)), float(root.get("height", 0))
    boxes = []
    for rect in root.iter(SVG + "rect"):
        if rect.get("rx") != "6":
            continue  # the page and the panels lie behind
        x, y, w, h = (float(rect.get(k, 0)) for k in ("x", "y", "width", "height"))
        assert x >= 0
        assert y >= 0
        assert x + w <= width
        assert y + h <= height
        boxes.append((x, y, w, h))
    for i, (x, y, w, h) in enumerate(boxes):
        for a, b, c, d in boxes[:i]:
            apart = x + w <= a or a + c <= x or y + h <= b or b + d <= y
            assert apart, ((x, y, w, h), (a, b, c, d))


@pytest.mark.parametrize(
    ("name", "shown", "absent"),
    [
        (
            "default",
            ["Grouped-query", "RMSNorm", "SwiGLU", "RoPE", "32 → 4 × 8"],
            ["ALiBi"],
        ),
        ("multi-query", ["Multi-query attention (MQA)"], []),
        (
            "gpt2",
            ["learned positions", "LayerNorm", "GELU", "tied", "+ bias"],
            ["RoPE"],
        ),
        ("alibi", ["ALiBi"], ["RoPE"]),
        ("windows", ["in sight, by layer: 5, all"], []),
        ("soft caps", ["capped at ±3", "soft cap ±2"], []),
        ("latent queries", ["latent attention (MLA)", "32 → 10", "32 → 12"], []),
        (
            "shared expert",
            ["router", "expert 3", "2 of 3 experts + 1 shared", "the best 2 answer"],
            ["gate"],
        ),
        ("speedrun", ["shares of stream and embedding", "+ embedding"], []),
        ("rope yarn", ["yarn × 4"], []),
    ],
)
def test_the_picture_names_what_is_configured(name, shown, absent):
    text = words(draw(tiny(name)))
    for part in shown:
        assert part in text
    for part in absent:
        assert part not in text


def test_norms_stand_where_they_are_placed():
    def order(place: str) -> list[str]:
        picture = draw(tiny(norm_place=place, qk_norm=False, mlp="relu"))
        stack = [
            (float(e.get("y", 0)), e.text)
            for e in ElementTree.fromstring(picture).iter(SVG + "text")
            if float(e.get("x", 0)) == 190
        ]
        names = [text for _, text in sorted(stack, reverse=True)]
        return [n for n in names if n in ("RMSNorm", "Attention", "Feed-forward")]

    assert order("pre") == [
        "RMSNorm",
        "Attention",
        "RMSNorm",
        "Feed-forward",
        "RMSNorm",
    ]
    assert order("post") == ["Attention", "RMSNorm", "Feed-forward", "RMSNorm"]
    sandwich = ["RMSNorm", "Attention", "RMSNorm", "RMSNorm", "Feed-forward", "RMSNorm"]
    assert order("sandwich") == [*sandwich, "RMSNorm"]


def test_a_title_with_marks_in_it_stays_a_title():
    picture = draw(tiny(), title="<script> & co")
    assert "<script>" not in picture
    assert "<script> & co" in words(picture)
    assert re.search(r"[\d,]+ parameters", words(picture))
