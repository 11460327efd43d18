"""The inference room is tested on the model room's tiny models."""

import sys
from pathlib import Path

import torch

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "model")]
torch.set_num_threads(1)
