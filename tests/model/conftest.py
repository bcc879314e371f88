"""Tiny networks: threads of torch would wait for each other longer than they calculate."""

from __future__ import annotations

import torch

torch.set_num_threads(1)
