"""WAT records: what a crawl noted of a page, as JSON. They hold no text but a few fields."""

from typing import Any

import msgspec

from hornbook.data.web.warc import BadRecord

DESCRIPTIONS = ("description", "og:description", "twitter:description")


def title_and_description(payload: bytes) -> str:
    """The page's title and description, a line each; raises :class:`BadRecord` without."""
    try:
        envelope = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadRecord("a metadata record that is no JSON") from None
    keys = ("Envelope", "Payload-Metadata", "HTTP-Response-Metadata", "HTML-Metadata")
    head = _at(envelope, *keys, "Head")
    metas = {
        str(_at(meta, "name") or _at(meta, "property")).lower(): _at(meta, "content")
        for meta in reversed(_at(head, "Metas") or [])
    }
    title = _words(_at(head, "Title"))
    texts = (_words(metas.get(name)) for name in DESCRIPTIONS)
    description = next(filter(None, texts), "")
    if not (title or description):
        raise BadRecord("a metadata record without title or description")
    if description.startswith(title):  # many descriptions begin with the title
        return description
    return title if title.startswith(description) else f"{title}\n{description}"


def _at(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _words(value: Any) -> str:
    return " ".join(value.split()) if isinstance(value, str) else ""
