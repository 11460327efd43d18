"""Evaluation is tested on the tiny models and the tokenizer of the rooms below."""

import sys
from pathlib import Path

import torch

TESTS = Path(__file__).parent.parent
sys.path[:0] = [str(TESTS / "infer"), str(TESTS / "model")]
torch.set_num_threads(1)
