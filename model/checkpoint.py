"""A model version on disk: whole or not at all (safetensors, ONNX and JSON; nothing is pickled).

A folder is written beside its final name, flushed to the disk and renamed (`data_io.atomic`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from data_io.atomic import file_sha256, whole_folder
from data_io.errors import DataError
from model.backbone import normalization
from model.config import NetworkConfig, TrainConfig
from model.export_onnx import export
from model.network import SegmentationNetwork

WEIGHTS, ONNX, META = "weights.safetensors", "model.onnx", "version.json"
FORMAT = 1  # of version.json


def save_version(
    folder: Path,
    network_state: Mapping[str, Tensor],
    network_config: NetworkConfig,
    train_config: TrainConfig,
    categories: Sequence[str],
    metrics: Mapping[str, Any],
    *,
    version: str = "",
    parent: str = "",
    snapshot: str = "",
    kept: str = "",
    small_animal: float = 0.0,
) -> str:
    """Write a version folder atomically; returns the sha256 of its weights.

    Args:
        network_state: `state_dict` of the network to keep.
        categories: category ids; class c of the network is ``categories[c - 1]``.
        metrics: plain JSON values.
        version, parent, snapshot: ids and hash for the record, "" = unknown.
        kept: the training phase the weights come from.
        small_animal: size of the project's smaller animals, see `Scaling.small`.
    """
    network = SegmentationNetwork(network_config)
    network.load_state_dict(dict(network_state), strict=True)
    mean, std = normalization(network_config.backbone)
    with whole_folder(folder) as draft:
        state = {key: value.contiguous() for key, value in network.state_dict().items()}
        (draft / WEIGHTS).write_bytes(save(state))  # a full disk must be an OSError
        export(network, draft / ONNX)
        sha256 = file_sha256(draft / WEIGHTS)
        meta = {
            "format": FORMAT,
            "id": version,
            "parent": parent,
            "snapshot": snapshot,
            "categories": list(categories),
            "network": network_config.as_dict(),
            "train": train_config.as_dict(),
            "max_side": train_config.max_side,
            "least_animal": train_config.least_animal,
            "small_animal": small_animal,
            "mean": list(mean),
            "std": list(std),
            "kept": kept,
            "metrics": dict(metrics),
            "weights_sha256": sha256,
            "onnx_sha256": file_sha256(draft / ONNX),
        }
        (draft / META).write_text(json.dumps(meta, indent=1), encoding="utf-8")
    return sha256


def read_meta(folder: Path) -> dict[str, Any]:
    """``version.json`` of a version folder.

    Raises:
        DataError: there is no whole version here, or it is of a newer format.
    """
    try:
        meta = json.loads((folder / META).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _broken(folder, "this is no model version") from error
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        raise _broken(folder, "the model version has a format this program does not know")
    return meta


def load_version(folder: Path) -> tuple[SegmentationNetwork, dict[str, Any]]:
    """The network in eval mode on the CPU, and ``version.json``.

    Raises:
        DataError: the folder is no whole version, or its weights are not those it was saved with.
    """
    meta = read_meta(folder)
    weights = folder / WEIGHTS
    if not weights.is_file() or file_sha256(weights) != meta.get("weights_sha256"):
        raise _broken(folder, "the weights are missing or were changed after they were saved")
    try:
        network = SegmentationNetwork(NetworkConfig.of_dict(meta["network"]))
        network.load_state_dict(load_file(weights), strict=True)
    except (KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise _broken(folder, "the weights do not fit the stored network settings") from error
    return network.eval(), meta


def _broken(folder: Path, why: str) -> DataError:
    return DataError(folder, why, "choose another version or train again")
