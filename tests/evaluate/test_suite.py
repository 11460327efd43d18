"""The whole evaluation on a tiny text, and the form its results are kept in."""

import io

import torch
from rich.console import Console
from torch import nn

from hornbook.evaluate.config import EvaluateConfig
from hornbook.evaluate.results import read_results, results_table, save_results
from hornbook.evaluate.suite import code_result, text_result

DOCUMENT = "def add(a, b):\n    return a + b\n\n\ndef take(n):\n    return n - 1\n" * 4


class Tokens:
    special = {"<|endoftext|>": 0}  # noqa: RUF012

    def encode_array(self, text):
        return torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8).numpy()


class Flat(nn.Module):
    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(256))

    def forward(self, tokens, segments=None):
        return self.bias.expand(*tokens.shape, 256)


def test_results_survive_the_disk_and_read_as_a_table(tmp_path):
    config = EvaluateConfig(ngram_order=3, functions=2)
    text = text_result(Flat(), Tokens(), [DOCUMENT] * 5, [DOCUMENT], 32, config)
    code = code_result(
        lambda prompts: ["    return 0\nx"] * len(prompts), [DOCUMENT], config
    )
    assert code is not None
    assert text["value"] > 8
    assert set(text["baselines"]) == {"xz -9e", "zstd -19", "3-gram of bytes"}
    assert text["baselines"]["3-gram of bytes"] < 1
    save_results([text, code], tmp_path / "results.json")
    assert read_results(tmp_path / "results.json") == [text, code]
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(results_table([text, code]))
    shown = console.export_text()
    assert "bits per byte" in shown
    assert "1.000 share" in shown
    assert "zstd -19" in shown


def test_comparisons_can_be_left_out_and_text_without_functions_is_no_error():
    config = EvaluateConfig(compare_compressors=False, functions=0)
    assert "baselines" in text_result(Flat(), Tokens(), [], ["abc"], 8, config)
    assert code_result(lambda prompts: [], ["plain prose"], EvaluateConfig()) is None
    assert code_result(lambda prompts: [], [DOCUMENT], config) is None
