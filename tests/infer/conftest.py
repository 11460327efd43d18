"""The inference room is tested on the model room's tiny models."""

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent.parent / "model"))
torch.set_num_threads(1)
