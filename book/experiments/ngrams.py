"""What chapter 1 says, measured: ``python -m book.experiments.ngrams --data FOLDER``.

FOLDER holds Shakespeare's plays as one text (``tinyshakespeare``). Takes seconds.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from book.experiments.record import record
from hornbook.evaluate.compress import xz_bits_per_byte, zstd_bits_per_byte
from hornbook.evaluate.ngram import ByteNgram

ORDERS = range(1, 9)
SAMPLE = 130  # bytes
SHARES = (0.0625, 0.125, 0.25, 0.5, 1.0)


def main() -> None:
    """Every experiment, and the file of each."""
    parser = argparse.ArgumentParser(description="Measure what chapter 1 shows.")
    parser.add_argument("--data", type=Path, required=True)
    folder = parser.parse_args().data / "tinyshakespeare"
    text = b"".join(path.read_bytes() for path in sorted(folder.glob("*.txt")))
    cut = len(text) * 9 // 10
    learn, held = text[:cut], text[cut:]
    models = {order: ByteNgram.train([learn], order) for order in ORDERS}
    record("01/orders.json", orders(models, learn, held))
    record(
        "01/samples.json", {"rows": [_sample(models[n], n) for n in (1, 2, 3, 5, 8)]}
    )
    record("01/growth.json", {"rows": growth(learn, held)})
    record("01/surprise.json", surprise(models[5], held))


def orders(models: dict[int, ByteNgram], learn: bytes, held: bytes) -> dict[str, Any]:
    """Bits per byte by order, smoothed and plain, on text learnt from and on text held out."""
    rows = []
    for order, model in models.items():
        plain, unseen = _plain(model, held)
        rows.append(
            {
                "order": order,
                "held": model.bits_per_byte(held),
                "learnt": model.bits_per_byte(learn[: len(held)]),
                "plain_learnt": _plain(model, learn[: len(held)])[0],
                "plain_where_seen": plain,
                "unseen": unseen,
                "ngrams": len(model.levels[-1].keys),
            }
        )
    return {
        "learn_bytes": len(learn),
        "held_bytes": len(held),
        "xz": xz_bits_per_byte(held),
        "zstd": zstd_bits_per_byte(held),
        "rows": rows,
    }


def _plain(model: ByteNgram, text: bytes) -> tuple[float, float]:
    """Without smoothing: bits per byte where p > 0, and the share where it is 0."""
    order = len(model.levels)
    counts: dict[bytes, int] = {}
    contexts: dict[bytes, int] = {}
    top = model.levels[-1]
    for key, count in zip(top.keys.tolist(), top.counts.tolist(), strict=True):
        gram = key.to_bytes(8, "big")[8 - order :]
        counts[gram] = count
        contexts[gram[:-1]] = contexts.get(gram[:-1], 0) + count
    bits = unseen = 0.0
    for at in range(order - 1, len(text)):
        gram = text[at - order + 1 : at + 1]
        if gram in counts:
            bits -= float(np.log2(counts[gram] / contexts[gram[:-1]]))
        else:
            unseen += 1
    places = len(text) - order + 1
    return bits / max(places - unseen, 1), unseen / places


def _sample(model: ByteNgram, order: int) -> dict[str, Any]:
    """Text that the model writes, byte by byte: every next byte drawn from its distribution."""
    generator = np.random.default_rng(4)
    text = b"\n" * 8
    context = max(order - 1, 1)
    for _ in range(SAMPLE):
        ends = b"".join(text[-context:] + bytes([b]) for b in range(256))
        width = context + 1
        p = model.probabilities(ends)[width - 1 :: width]
        text += bytes([generator.choice(256, p=p / p.sum())])
    return {"order": order, "text": text[8:].decode("ascii", "replace")}


def growth(learn: bytes, held: bytes) -> list[dict[str, float]]:
    """What more text does for a short and for a long context."""
    rows = []
    for share in SHARES:
        part = learn[-int(len(learn) * share) :]
        row = {"bytes": float(len(part))}
        for order in (1, 3, 5, 8):
            row[str(order)] = ByteNgram.train([part], order).bits_per_byte(held)
        rows.append(row)
    return rows


def surprise(model: ByteNgram, held: bytes) -> dict[str, Any]:
    """What each byte of a line costs."""
    start = held.index(b"\n\n", 2000) + 2
    p = model.probabilities(held[: start + 64])
    line = held[start : start + 64].decode()
    bits = (-np.log2(p[start:])).tolist()
    return {"text": line, "bits": bits, "mean": float(np.mean(bits))}


if __name__ == "__main__":
    main()
