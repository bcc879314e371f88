"""One update of the student from a loss: precision, clipping, rates, several processes.

Half precision covers the network and its gradients; probabilities and losses stay float32, as
`methods` converts what the network gives. Weights and their updates are always float32.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from data_io.errors import DataError
from model import distributed
from model.config import TrainConfig
from model.training_setup import Grouped, create_optimizer


class Optimization:
    """The optimizer and what surrounds it."""

    def __init__(self, student: Grouped, config: TrainConfig, device: torch.device) -> None:
        self.clip_norm, self.device = config.clip_norm, device
        self.parameters = [p for p in student.parameters() if p.requires_grad]
        self.optimizer = create_optimizer(student, config)
        self.rates = [float(group["lr"]) for group in self.optimizer.param_groups]
        self.half = half_precision(config.autocast, device)
        # float16 has too few exponents for small gradients; bfloat16 needs no scaling.
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.half is torch.float16)

    def autocast(self) -> AbstractContextManager[Any]:
        """Where the networks run in half precision, if they do."""
        kind = self.half or torch.bfloat16
        return torch.autocast(self.device.type, dtype=kind, enabled=self.half is not None)

    def set_rates(self, factor: float) -> None:
        """Multiply the rates of the settings by a factor."""
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor

    def step(self, loss: Tensor) -> None:
        """Move the student down the gradient of a loss, this process's share of the joint one."""
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        distributed.add_gradients(self.parameters)
        if self.clip_norm:
            self.scaler.unscale_(self.optimizer)
            torch.nn.utils.clip_grad_norm_(self.parameters, self.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()

    def state(self) -> dict[str, Any]:
        """What a checkpoint stores."""
        return {"optimizer": self.optimizer.state_dict(), "scaler": self.scaler.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Inverse of `state`."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])


def half_precision(setting: str, device: torch.device) -> torch.dtype | None:
    """The data type of the setting `autocast` on a device, None = float32 throughout.

    `auto` takes bfloat16 or else float16 on CUDA and nothing elsewhere: on a CPU it is worth a
    measurement first.

    Raises:
        DataError: the device does not calculate in that type.
    """
    if setting == "off" or (setting == "auto" and device.type != "cuda"):
        return None
    if device.type == "cuda":
        bfloat = torch.cuda.is_bf16_supported()
        if setting == "auto":
            return torch.bfloat16 if bfloat else torch.float16
        if setting == "fp16" or bfloat:
            return torch.float16 if setting == "fp16" else torch.bfloat16
    if setting == "bf16" and device.type == "cpu" and _cpu_has_bfloat16():
        return torch.bfloat16
    why = f"this {device.type} device does not calculate in {setting}"
    raise DataError("training settings", why, "use off or auto", field="autocast")


def _cpu_has_bfloat16() -> bool:
    """AVX512-BF16, AMX or its ARM counterpart; without them bfloat16 is emulated, and slow."""
    ask = getattr(torch.cpu, "get_capabilities", dict)  # older releases do not tell
    found: Mapping[str, Any] = ask()
    return any(found.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))
