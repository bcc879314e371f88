"""The one-way street app -> model -> data_io, and gradio only on the pages."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FORBIDDEN = {
    "data_io": {"app", "model", "torch", "torchvision", "timm", "onnxruntime", "gradio", "fastapi"}
    | {"matplotlib"},
    "model": {"app", "gradio", "fastapi", "sqlalchemy", "alembic", "matplotlib"},
    "app/workflow": {"gradio", "fastapi", "starlette", "matplotlib"},
}
FORBIDDEN_STORE_IN_MODEL = "data_io.store"


def imported_modules(file: Path) -> set[str]:
    """Dotted names a file imports, lazily inside functions included."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def python_files(room: str) -> list[Path]:
    files = sorted((ROOT / room).rglob("*.py"))
    assert files, f"the room {room} is empty"
    return files


@pytest.mark.parametrize("room", FORBIDDEN)
def test_room_imports_nothing_above_it(room: str) -> None:
    for file in python_files(room):
        roots = {name.split(".")[0] for name in imported_modules(file)}
        wrong = roots & FORBIDDEN[room]
        assert not wrong, f"{file.relative_to(ROOT)} imports {sorted(wrong)}"


def test_model_does_not_know_the_database() -> None:
    for file in python_files("model"):
        wrong = [n for n in imported_modules(file) if n.startswith(FORBIDDEN_STORE_IN_MODEL)]
        assert not wrong, f"{file.relative_to(ROOT)} imports {wrong}"


def test_gradio_stays_on_the_pages() -> None:
    allowed = {ROOT / "app" / "ui.py", *(ROOT / "app" / "pages").rglob("*.py")}
    for file in [*python_files("app"), ROOT / "launch.py"]:
        roots = {name.split(".")[0] for name in imported_modules(file)}
        assert "gradio" not in roots or file in allowed, (
            f"{file.relative_to(ROOT)} imports gradio; only app/ui.py and app/pages/ may"
        )


def test_the_import_reader_sees_lazy_and_nested_imports(tmp_path: Path) -> None:
    file = tmp_path / "room.py"
    file.write_text("def f():\n    from torch import nn\n    import gradio.themes\n")
    assert {"torch", "torch.nn", "gradio.themes"} <= imported_modules(file)
