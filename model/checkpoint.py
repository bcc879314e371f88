"""A model version on disk: whole or not at all (safetensors, ONNX and JSON; nothing is pickled).

A folder is written beside its final name, flushed to the disk and renamed (`data_io.atomic`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from data_io.atomic import file_sha256, whole_folder
from data_io.errors import DataError
from model.backbone import normalization
from model.calibrate import Calibration
from model.config import NetworkConfig, TrainConfig
from model.export_onnx import export
from model.network import SegmentationNetwork

WEIGHTS, ONNX, META = "weights.safetensors", "model.onnx", "version.json"
FORMAT = 1  # of version.json
Network = TypeVar("Network", bound=nn.Module)


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
    calibration: Calibration | None = None,
) -> str:
    """Write a version folder atomically; returns the sha256 of its weights.

    Args:
        network_state: `state_dict` of the network to keep.
        categories: category ids; class c of the network is ``categories[c - 1]``.
        metrics: plain JSON values.
        version, parent, snapshot: ids and hash for the record, "" = unknown.
        kept: the training phase the weights come from.
        small_animal: size of the project's smaller animals, see `Scaling.small`.
        calibration: how sure its answers are made; None = not calibrated.
    """
    network = SegmentationNetwork(network_config)
    network.load_state_dict(dict(network_state), strict=True)
    meta = version_meta(
        network_config.as_dict(),
        normalization(network_config.backbone),
        train_config,
        categories,
        metrics,
        version=version,
        parent=parent,
        snapshot=snapshot,
        kept=kept,
        small_animal=small_animal,
        calibration=calibration,
    )
    return write_version(folder, network.state_dict(), meta, lambda path: export(network, path))


def version_meta(
    network: Mapping[str, Any],
    normalized: tuple[tuple[float, ...], tuple[float, ...]],
    train_config: TrainConfig,
    categories: Sequence[str],
    metrics: Mapping[str, Any],
    *,
    version: str = "",
    parent: str = "",
    snapshot: str = "",
    kept: str = "",
    small_animal: float = 0.0,
    calibration: Calibration | None = None,
) -> dict[str, Any]:
    """``version.json`` without the hashes of the files; see `save_version`.

    Args:
        network: settings that rebuild the network, plain JSON values.
        normalized: mean and std of its inputs.
    """
    mean, std = normalized
    return {
        "format": FORMAT,
        "id": version,
        "parent": parent,
        "snapshot": snapshot,
        "categories": list(categories),
        "network": dict(network),
        "train": train_config.as_dict(),
        "max_side": train_config.max_side,
        "least_animal": train_config.least_animal,
        "small_animal": small_animal,
        "calibration": (calibration or Calibration()).as_dict(),
        "mean": list(mean),
        "std": list(std),
        "kept": kept,
        "metrics": dict(metrics),
    }


def write_version(
    folder: Path,
    state: Mapping[str, Tensor],
    meta: Mapping[str, Any],
    export_to: Callable[[Path], None] | None = None,
) -> str:
    """Write a version folder atomically; returns the sha256 of its weights.

    Args:
        state: the weights.
        meta: as `version_meta` makes it.
        export_to: writes the network as ONNX to a path; None = it has no such form.
    """
    with whole_folder(folder) as draft:
        contiguous = {key: value.contiguous() for key, value in state.items()}
        (draft / WEIGHTS).write_bytes(save(contiguous))  # a full disk must be an OSError
        hashes = {"weights_sha256": file_sha256(draft / WEIGHTS)}
        if export_to is not None:
            export_to(draft / ONNX)
            hashes["onnx_sha256"] = file_sha256(draft / ONNX)
        (draft / META).write_text(json.dumps({**meta, **hashes}, indent=1), encoding="utf-8")
    return hashes["weights_sha256"]


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
    network = load_network(
        folder, meta, lambda values: SegmentationNetwork(NetworkConfig.of_dict(values))
    )
    return network, meta


def load_network(
    folder: Path, meta: Mapping[str, Any], create: Callable[[Mapping[str, Any]], Network]
) -> Network:
    """A version's network with its weights, in eval mode on the CPU.

    Args:
        meta: its ``version.json``.
        create: the network of the settings stored there.

    Raises:
        DataError: the weights are not those it was saved with, or of another network.
    """
    weights = folder / WEIGHTS
    if not weights.is_file() or file_sha256(weights) != meta.get("weights_sha256"):
        raise _broken(folder, "the weights are missing or were changed after they were saved")
    try:
        network = create(meta["network"])
        network.load_state_dict(load_file(weights), strict=True)
    except (KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise _broken(folder, "the weights do not fit the stored network settings") from error
    return network.eval()


def is_finite(folder: Path) -> bool:
    """Whether every weight of a version is a finite number.

    Raises:
        DataError: the weights are missing or cannot be read.
    """
    try:
        weights = load_file(folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise _broken(folder, "the weights are missing or cannot be read") from error
    return all(bool(value.isfinite().all()) for value in weights.values())


def _broken(folder: Path, why: str) -> DataError:
    return DataError(folder, why, "choose another version or train again")
