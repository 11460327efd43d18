"""Our engine under lm-evaluation-harness: its tasks, its protocol, our speed.

    python -m hornbook.lm_eval_model run --model hornbook --model_args model=runs/hello \\
        --tasks arc_easy

is its own command line, to which a model named ``hornbook`` was added. ``model_args`` are
``model`` (a run or a model directory), ``stage`` and ``device``.
"""

from pathlib import Path
from typing import Any

import lm_eval.models  # noqa: F401  (it enters its own models only while there are none)
from lm_eval.api.model import LM
from lm_eval.api.registry import register_model

from hornbook.core.progress import Progress
from hornbook.evaluate.likelihood import encode_pair, prefix_id, rolling_windows
from hornbook.infer.config import SamplingConfig
from hornbook.infer.continuations import score_continuations
from hornbook.talk import open_engine

MAX_TOKENS = 256  # where a task names no limit, as its own backends have it
AT_ONCE = 512  # requests between two steps of the progress bar


@register_model("hornbook")
class HornbookLM(LM):
    """A model of ours as the harness sees one."""

    def __init__(
        self,
        model: str = "runs/hello",
        stage: str | None = None,
        device: str | None = None,
        **_: Any,
    ) -> None:
        super().__init__()
        self._path = model
        self.engine = open_engine(Path(model), stage, device or "auto")

    @property
    def tokenizer_name(self) -> str:
        """What stands for the tokenizer in the harness's cache of requests."""
        return self._path

    def loglikelihood(self, requests: list[Any]) -> list[tuple[float, bool]]:
        """The nats of each continuation after its context, and whether greed finds it."""
        pairs = [encode_pair(self.engine.tokenizer, *r.args) for r in requests]
        found = self._score(pairs, "likelihood")
        return [(likelihood.nats, likelihood.is_greedy) for likelihood in found]

    def loglikelihood_rolling(self, requests: list[Any]) -> list[float]:
        """The nats of whole texts, every token predicted once."""
        longest = self.engine.model.config.context_length
        tokenizer = self.engine.tokenizer
        windows = [
            list(
                rolling_windows(
                    tokenizer.encode(r.args[0]), prefix_id(tokenizer), longest
                )
            )
            for r in requests
        ]
        found = iter(self._score([w for some in windows for w in some], "texts"))
        return [sum(next(found).nats for _ in some) for some in windows]

    def _score(self, pairs: list[Any], name: str) -> list[Any]:
        with Progress(name, len(pairs), "request") as progress:
            return score_continuations(self.engine.model, pairs, progress.advance)

    def generate_until(self, requests: list[Any]) -> list[str]:
        """What the model writes after each prompt, up to one of its stops."""
        written = []
        with Progress("generate", len(requests), "request") as progress:
            for group in _alike(requests):
                sampling = _sampling(group[0].args[1])
                room = self.engine.model.config.context_length - sampling.max_tokens
                prompts = [
                    self.engine.tokenizer.encode(r.args[0])[-max(room, 1) :]
                    for r in group
                ]
                done = self.engine.generate(prompts, sampling)
                written += [
                    (id(r), completion.text)
                    for r, completion in zip(group, done, strict=True)
                ]
                progress.advance(len(group))
        found = dict(written)
        return [found[id(request)] for request in requests]


def _alike(requests: list[Any]) -> list[list[Any]]:
    """Requests in groups that are sampled in the same way."""
    groups: dict[str, list[Any]] = {}
    for request in requests:
        groups.setdefault(repr(sorted(request.args[1].items())), []).append(request)
    return list(groups.values())


def _sampling(asked: dict[str, Any]) -> SamplingConfig:
    stops = asked.get("until") or ()
    sampled = asked.get("do_sample", asked.get("temperature", 0) > 0)
    return SamplingConfig(
        max_tokens=asked.get("max_gen_toks", MAX_TOKENS),
        temperature=float(asked.get("temperature", 1.0)) if sampled else 0.0,
        top_p=float(asked.get("top_p", 1.0)),
        stop=(stops,) if isinstance(stops, str) else tuple(stops),
    )


if __name__ == "__main__":
    from lm_eval.__main__ import cli_evaluate

    cli_evaluate()
