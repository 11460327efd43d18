"""Trains the toxicity classifier that comes with Hornbook and measures it.

    python bench/toxicity.py --data FOLDER [--write]

FOLDER holds davidson_hate_offensive, surge_toxicity and jigsaw_sample. A fifth of the first
two, chosen by the hash of each text, is never trained on. ``--write`` stores the model.
"""

import argparse
import csv
import json
import platform
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import xxhash

from hornbook.core.files import write_json
from hornbook.data.classify.classifier import SHIPPED, Classifier, auc, train

TERMS = [
    "gay",
    "straight",
    "lesbian",
    "transgender",
    "black",
    "white",
    "asian",
    "african",
    "american",
    "mexican",
    "jewish",
    "muslim",
    "christian",
    "hindu",
    "buddhist",
    "deaf",
    "blind",
    "disabled",
    "old",
    "young",
    "female",
    "male",
]
NEUTRAL = (
    "I am a {} person and I like to read.",
    "My neighbour is {} and works as a nurse.",
    "The {} community centre opens at nine.",
    "She wrote a book about {} families.",
    "He is proud to be {}.",
    "Two {} students won the prize this year.",
)

PRIOR = 0.1  # of the training texts most are toxic, of a corpus few: scores are for this share

# Other neutral sentences, taught as such, so that a term alone says little (Dixon et al. 2018).
TAUGHT = (
    "My {} friend came over for dinner.",
    "{} people live in this town.",
    "The film tells the story of a {} woman.",
    "We met a {} man at the station.",
    "As a {} teacher I get asked this a lot.",
    "There is a {} festival in June.",
)


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def load(folder: Path) -> dict[str, list[tuple[str, int]]]:
    davidson = rows(folder / "davidson_hate_offensive" / "labeled_data.csv")
    surge = rows(folder / "surge_toxicity" / "toxicity_en.csv")
    jigsaw = rows(folder / "jigsaw_sample" / "train.csv")
    labels = ("toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate")
    return {
        "davidson": [(r["tweet"], int(r["class"] != "2")) for r in davidson],
        "surge": [(r["text"], int(r["is_toxic"] == "Toxic")) for r in surge],
        "jigsaw": [
            (r["comment_text"], int("1" in [r[k] for k in labels])) for r in jigsaw
        ],
    }


def logit(share: float) -> float:
    return float(np.log(share / (1 - share)))


def held_out(text: str) -> bool:
    return xxhash.xxh3_64_intdigest(text.encode()) % 5 == 0


def neutral_sentences() -> tuple[str, ...]:
    return tuple(t.format(word) for t in NEUTRAL for word in TERMS)


def measure(model: Classifier, sets: dict) -> dict[str, float]:
    found = {}
    for name in ("davidson", "surge"):
        pairs = [(t, y) for t, y in sets[name] if held_out(t)]
        texts = pa.array([t for t, _ in pairs], pa.large_string())
        scores, labels = model.score(texts), np.array([y for _, y in pairs])
        found[f"auc_{name}"] = auc(scores, labels)
        found[f"caught_at_0.5_{name}"] = float((scores[labels == 1] > 0.5).mean())
        found[f"false_alarms_at_0.5_{name}"] = float((scores[labels == 0] > 0.5).mean())
    swapped = model.score(pa.array(neutral_sentences(), pa.large_string()))
    found["identity_false_positives"] = float((swapped > 0.5).mean())
    by_term = (swapped > 0.5).reshape(len(NEUTRAL), len(TERMS)).mean(axis=0)
    found["identity_terms_flagged"] = {
        term: round(float(share), 2)
        for term, share in zip(TERMS, by_term, strict=True)
        if share
    }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--quick", action="store_true", help="the same; it is quick")
    options = parser.parse_args()
    sets = load(options.data)
    used = [
        (t, y) for n in sets for t, y in sets[n] if n == "jigsaw" or not held_out(t)
    ]
    # The small sets weigh as much as the large one, or tweets would be all it knows.
    used += [(t, y) for t, y in sets["surge"] if not held_out(t)] * 19
    used += sets["jigsaw"] * 19
    used += [(t.format(term), 0) for t in TAUGHT for term in TERMS] * 16
    start = time.process_time()
    model = train([t for t, _ in used], np.array([y for _, y in used]), epochs=4)
    seconds = time.process_time() - start
    rate = float(np.mean([y for _, y in used]))
    model = replace(model, bias=model.bias - logit(rate) + logit(PRIOR))
    found = measure(model, sets)
    model.card.update(
        what="Is a text toxic (hateful, offensive, obscene, insulting)? English.",
        data=[
            "Davidson et al. 2017, hate speech and offensive language, tweets (MIT)",
            "Surge AI toxicity, 1,000 comments (MIT)",
            "Jigsaw toxic comments, a sample (labels CC0, Wikipedia text CC BY-SA 3.0)",
        ],
        licence="Apache-2.0",
        calibration=f"Platt scaling, then shifted to a corpus of which {PRIOR:.0%} is toxic",
        held_out="a fifth of Davidson and Surge by the hash of each text",
        measured=found,
        biases="Learnt mostly from tweets and from few annotators: expect it to misjudge "
        "slang, dialect and quoted speech. That the identity terms alone raise no alarm was "
        "measured with the same terms that were taught as neutral, in other sentences. Use it "
        "to thin out a corpus, never to judge a person.",
    )
    if options.write:
        model.save(SHIPPED / "toxicity")
    bars = [
        {"what": f"held-out ROC-AUC, {n}", "value": found[f"auc_{n}"], "bar": ">= 0.90",
         "holds": found[f"auc_{n}"] >= 0.9}
        for n in ("davidson", "surge")
    ]  # fmt: skip
    flagged = found["identity_false_positives"]
    bars.append({"what": f"of {len(neutral_sentences())} neutral sentences about people of "
                 f"{len(TERMS)} identities, flagged", "value": flagged, "bar": "<= 0.02",
                 "holds": flagged <= 0.02})  # fmt: skip
    result = {
        "bench": "toxicity",
        "bars": bars,
        "found": found,
        "seconds": seconds,
        "machine": platform.processor() or platform.machine(),
        "versions": {"python": platform.python_version(), "numpy": np.__version__},
    }
    write_json(Path(__file__).parent / "results" / "toxicity.json", result)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
