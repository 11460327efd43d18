"""One side of bench/align.py: makes the model and the data, or trains on them for a while."""

import json
import random
import resource
import sys
import time
from pathlib import Path

CONVERSATIONS, PAIRS, CONTEXT = 2_000, 128, 512
PER_STEP, PAIRS_PER_STEP = 64, 8  # conversations, pairs
SPOKEN = (
    "the of and to in is that it was for on are as with his they at be this from have or "
    "by one had not but what all were when we there can an your which their said if do"
)
WORDS = SPOKEN.split()


def texts() -> tuple[list[dict], list[dict]]:
    """Made-up chats and pairs whose lengths vary as people's do (log-normal)."""
    draw = random.Random(0)

    def say(mean: float) -> str:
        n = max(2, min(120, round(draw.lognormvariate(mean, 0.7))))
        return " ".join(draw.choices(WORDS, k=n))

    chats = [
        {"messages": [{"role": "user", "content": say(2.5)},
                      {"role": "assistant", "content": say(3.5)}]}
        for _ in range(CONVERSATIONS)
    ]  # fmt: skip
    pairs = [
        {"prompt": [{"role": "user", "content": say(2.5)}],
         "chosen": say(3.5), "rejected": say(3.5)}
        for _ in range(PAIRS)
    ]  # fmt: skip
    return chats, pairs


def prepare(folder: Path) -> None:
    """A tiny Llama with a tokenizer, as both sides open it, and the data."""
    import torch

    from hornbook.model.config import ModelConfig
    from hornbook.model.huggingface import save_model
    from hornbook.model.transformer import Transformer
    from hornbook.tokenizer.config import TokenizerConfig
    from hornbook.tokenizer.train import train_tokenizer
    from hornbook.training import token_ids

    chats, pairs = texts()
    spoken = (m["content"] for chat in chats for m in chat["messages"])
    tokenizer = train_tokenizer(TokenizerConfig(kind="bpe", vocab_size=360), spoken)
    torch.manual_seed(0)
    config = ModelConfig(
        n_layers=4, d_model=256, n_heads=4, n_kv_heads=2, context_length=CONTEXT,
        vocab_size=4096, qk_norm=False,
    )  # fmt: skip
    save_model(Transformer(config), folder / "model", token_ids(tokenizer))
    tokenizer.save(folder / "model")
    for name, rows in (("sft", chats), ("dpo", pairs)):
        lines = "\n".join(json.dumps(row) for row in rows)
        (folder / f"{name}.jsonl").write_text(lines)


def ours(what: str, steps: int, folder: Path) -> dict:
    """Our loop's own step on our own batches."""
    import numpy as np
    import torch

    from hornbook.align.config import DPOConfig
    from hornbook.align.losses import preference_objective
    from hornbook.align.messages import Conversation, Preference, read_jsonl
    from hornbook.align.preference import (
        PreferenceBatches,
        encode_pairs,
        with_reference,
    )
    from hornbook.align.sft import SFTBatches, pack
    from hornbook.train.backend import choose_backend
    from hornbook.train.config import TrainConfig
    from hornbook.train.loop import prepare as prepare_training
    from hornbook.train.objective import next_token_objective
    from hornbook.training import load

    torch.set_num_threads(1)
    model, tokenizer = load(folder / "model")
    config = TrainConfig(
        steps=steps, optimizer="adamw", learning_rate=1e-4, precision="float32",
        compile="no", logit_chunk=1024 if what == "sft" else 0,
    )  # fmt: skip
    backend, waste = choose_backend(config, "cpu"), 0.0
    if what == "sft":
        chats = read_jsonl(folder / "sft.jsonl", Conversation)
        rows = pack(chats, tokenizer, CONTEXT)
        per_row = rows.conversations / len(rows.tokens)
        batches = SFTBatches(rows, round(PER_STEP / per_row), 1)
        objective, waste = next_token_objective(config), rows.waste
        count = lambda b: int((b.segments > 0).sum())  # noqa: E731
    else:
        pairs = encode_pairs(
            read_jsonl(folder / "dpo.jsonl", Preference), tokenizer, CONTEXT
        )
        pairs = with_reference(pairs, model, 16, torch.device("cpu"))
        batches = PreferenceBatches(pairs, PAIRS_PER_STEP, 1, trim=True)
        objective = preference_objective(DPOConfig(train=config))
        pad = tokenizer.special["<|pad|>"]
        count = lambda b: int((b.tokens != pad).sum())  # noqa: E731
    trainer = prepare_training(model, objective, config, backend, 1)
    times, tokens = [], 0
    for step in range(steps):
        started = time.perf_counter()
        batch = batches(step)
        trainer.step(step, batch)
        if step >= 2:
            times.append(time.perf_counter() - started)
            tokens += count(batch)
    return {"tokens_per_second": tokens / float(np.sum(times)), "waste": waste}


def trl(what: str, steps: int, folder: Path) -> dict:
    """TRL's trainer with the same sizes; its reference is computed beforehand too."""
    import torch
    import transformers
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

    torch.set_num_threads(1)
    rows = [json.loads(line) for line in (folder / f"{what}.jsonl").open()]
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "model")
    model = transformers.AutoModelForCausalLM.from_pretrained(folder / "model")
    model = model.float()
    common = {
        "output_dir": str(folder / f"trl-{what}"), "max_steps": steps, "use_cpu": True,
        "learning_rate": 1e-4, "report_to": "none", "save_strategy": "no",
        "logging_strategy": "no", "bf16": False, "fp16": False,
        "gradient_checkpointing": False, "max_length": CONTEXT, "seed": 1,
        "disable_tqdm": True,
    }  # fmt: skip
    seen: list[tuple[float, int]] = []
    if what == "sft":
        config = SFTConfig(
            per_device_train_batch_size=PER_STEP, assistant_only_loss=True, **common
        )
        kind = SFTTrainer
    else:
        rows = [
            {
                "prompt": row["prompt"],
                "chosen": [{"role": "assistant", "content": row["chosen"]}],
                "rejected": [{"role": "assistant", "content": row["rejected"]}],
            }
            for row in rows
        ]
        config = DPOConfig(
            per_device_train_batch_size=PAIRS_PER_STEP,
            precompute_ref_log_probs=True,
            **common,
        )
        kind = DPOTrainer
    trainer = kind(
        model=model,
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
    )
    whole = trainer.training_step

    def timed(model, inputs, *others):
        tokens = int(inputs["attention_mask"].sum())
        loss = whole(model, inputs, *others)
        seen.append((time.perf_counter(), tokens))
        return loss

    trainer.training_step = timed
    trainer.train()
    # From the end of one step's gradient to the end of the next: the update is between.
    span = seen[-1][0] - seen[1][0]
    return {"tokens_per_second": sum(n for _, n in seen[2:]) / span}


if __name__ == "__main__":
    who, what, steps, folder = sys.argv[1:]
    if who == "prepare":
        prepare(Path(folder))
        result = {}
    else:
        result = {"ours": ours, "trl": trl}[who](what, int(steps), Path(folder))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({**result, "peak_mib": peak}))
