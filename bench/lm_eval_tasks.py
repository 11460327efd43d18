"""lm-evaluation-harness's own tasks on local files: the same items that our tasks read."""

import csv
import gzip
import itertools
import json
import re
from pathlib import Path

SUBJECT = "high_school_psychology"  # of MMLU: one with enough questions

# Their task, what ours is called, the split their file is, and lines that undo what only
# holds on the hub. Metrics as they name them.
TASKS = {
    f"mmlu/default/mmlu_{SUBJECT}": ("mmlu", "test", "tag: null\n", {"acc": "acc"}),
    f"mmlu/continuation/mmlu_{SUBJECT}": (
        *("mmlu_continuation", "test", "tag: null\n"),
        {"acc": "acc"},
    ),
    "hellaswag/hellaswag": (
        *("hellaswag", "validation"),
        "tag: null\ntraining_split: null\nprocess_docs: null\n"
        'doc_to_text: "{{query}}"\ndoc_to_target: "{{label}}"\n',
        {"acc": "acc", "acc_norm": "acc_norm"},
    ),
    "arc/arc_easy": (
        *("arc_challenge", "test"),
        "tag: null\ntraining_split: null\nvalidation_split: null\n",
        {"acc": "acc", "acc_norm": "acc_norm"},
    ),
    "piqa/piqa": (
        *("piqa", "validation", "training_split: null\n"),
        {"acc": "acc", "acc_norm": "acc_norm"},
    ),
    "openbookqa/openbookqa": (
        *("openbookqa", "validation", "training_split: null\ntest_split: null\n"),
        {"acc": "acc", "acc_norm": "acc_norm"},
    ),
    "winogrande/default": (
        *("winogrande", "validation", "training_split: null\n"),
        {"acc": "acc"},
    ),
    "lambada/lambada_openai": (
        *("lambada", "test", "tag: null\n"),
        {"acc": "acc", "perplexity": "perplexity"},
    ),
    "wikitext/wikitext": (
        *("wikitext", "test", "training_split: null\nvalidation_split: null\n"),
        {n: n for n in ("word_perplexity", "byte_perplexity", "bits_per_byte")},
    ),
    "blimp/_template_yaml": (
        *("blimp", "train", "validation_split: train\n"),
        {"acc": "acc"},
    ),
    "gsm8k/gsm8k": (
        *("gsm8k", "train", "tag: null\ntest_split: train\n"),  # all that is here
        {n: f"exact_match,{n}" for n in ("strict-match", "flexible-extract")},
    ),
}


def plain(text: str) -> str:
    text = re.sub(r"\[.*?\]", "", text.strip().replace(" [title]", ". "))
    return text.replace("  ", " ")


def their_records(name: str, data: Path) -> list[dict]:
    """The items of a set in the columns that lm-eval's tasks expect of the hub."""
    if name.startswith("mmlu"):
        return _mmlu(data / f"mmlu/val/{SUBJECT}_val.csv")
    if name == "hellaswag":
        path = sorted((data / "hellaswag").glob("hellaswag_val_*.txt.gz"))[0]
        lines = gzip.decompress(path.read_bytes()).decode().splitlines()
        return [
            {
                "query": plain(lines[i]),
                "choices": [plain(end) for end in lines[i + 2 : i + 6]],
                "label": lines[i + 1],
            }
            for i in range(0, len(lines) - 5, 6)
        ]
    if name == "arc_challenge":
        path = sorted((data / "arc").glob("ARC-Challenge-*.jsonl"))[0]
        found = [json.loads(line) for line in path.read_text().splitlines()]
        return [
            {
                "question": record["question"]["stem"],
                "choices": {
                    "text": [c["text"] for c in record["question"]["choices"]],
                    "label": [c["label"] for c in record["question"]["choices"]],
                },
                "answerKey": record["answerKey"],
            }
            for record in found
        ]
    if name == "piqa":
        labels = (data / "piqa/valid_0-918-labels.lst").read_text().split()
        lines = (data / "piqa/valid_0-918.jsonl").read_text().splitlines()
        return [
            {**json.loads(line), "label": int(label)}
            for line, label in zip(lines, labels, strict=True)
        ]
    if name == "openbookqa":
        with open(data / "openbookqa/dev.tsv", newline="") as rows:
            return [_openbook(row) for row in csv.DictReader(rows, delimiter="\t")]
    if name == "winogrande":
        path = sorted((data / "winogrande").glob("winogrande_val_*.jsonl"))[0]
        return [_winogrande(json.loads(line)) for line in path.read_text().splitlines()]
    if name == "lambada":
        path = sorted((data / "lambada").glob("lambada_*_plain_text.txt"))[0]
        return [{"text": line} for line in path.read_text().splitlines()]
    if name == "wikitext":
        path = data / "wikitext2" / "test.txt"
        path = path if path.exists() else data / "wikitext2" / "valid.txt"
        text = path.read_text()
        starts = [m.start() for m in re.finditer(r"(?m)^ = [^=].* = $", text)]
        return [{"page": text[a:b]} for a, b in itertools.pairwise(starts)]
    if name == "blimp":
        path = data / "blimp" / "adjunct_island.jsonl.gz"
        return [
            json.loads(line)
            for line in gzip.decompress(path.read_bytes()).decode().splitlines()
        ]
    path = data / "gsm8k" / "test.jsonl"
    path = path if path.exists() else data / "gsm8k" / "train.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


def _mmlu(path: Path) -> list[dict]:
    with open(path, newline="") as rows:
        return [
            {"question": r[0], "choices": r[1:5], "answer": "ABCD".index(r[5])}
            for r in csv.reader(rows)
        ]


def _openbook(row: dict[str, str]) -> dict:
    texts = re.split(r"\s*\([A-D]\)\s*", row["Choices"])[1:]
    choices = {"text": [text.strip() for text in texts], "label": list("ABCD")}
    stem = row["Question Stem"]
    return {"question_stem": stem, "choices": choices, "answerKey": row["Answer Key"]}


def _winogrande(row: dict) -> dict:
    """The sentence with its gap; the file has it up to each of the options."""
    one, two = row["context_options"]
    words = zip(one.split(" "), two.split(" "), strict=False)
    alike = itertools.takewhile(lambda pair: pair[0] == pair[1], words)
    shared = "".join(f"{word} " for word, _ in alike)
    return {
        "sentence": f"{shared}_ {row['continuation']}",
        "option1": one.removeprefix(shared),
        "option2": two.removeprefix(shared),
        "answer": str(row["gold"] + 1),
    }


def _write(path: Path, rows: list[dict]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def write_tasks(folder: Path, data: Path, limits: dict[str, int], n: int) -> None:
    """Write ``x_NAME.yaml`` of every task, and ``n`` items of each, or its own limit.

    Of GSM8K all are written, as worked examples are drawn from the same file.
    """
    import lm_eval

    shipped = Path(lm_eval.__file__).parent / "tasks"
    for path, (name, split, extra, _) in TASKS.items():
        rows = their_records(name, data)
        count = (
            None if name == "gsm8k" else limits.get(name, n)
        )  # its shots are there too
        files = {split: _write(folder / f"{name}.jsonl", rows[:count])}
        if name.startswith("mmlu"):
            shots = _mmlu(data / f"mmlu/dev/{SUBJECT}_dev.csv")
            files["dev"] = _write(folder / f"{name}-dev.jsonl", shots)
        (folder / f"x_{name}.yaml").write_text(
            f"include: {shipped / path}{'' if path.endswith('yaml') else '.yaml'}\n"
            f"task: x_{name}\ndataset_path: json\ndataset_name: null\n"
            f"dataset_kwargs:\n  data_files: {json.dumps(files)}\n{extra}"
        )
