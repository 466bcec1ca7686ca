"""A folder imports only lower levels, never a neighbour, never inside a function."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent / "twofold"

LEVELS: tuple[tuple[str, ...], ...] = (
    ("abi", "config", "devices", "dtypes", "errors", "machine", "missing_names", "trace"),
    ("graph",),
    ("ops",),
    ("autograd", "passes"),
    ("kernels", "runtime"),
    ("codegen",),
    ("engine",),
    (
        "anomaly", "at_once", "autograd_api", "autograd_function", "capture", "control",
        "creation",
        "custom_function", "explanation", "functional", "functions", "gradcheck", "indexing",
        "interchange", "mirrors", "printing", "profiler", "random", "repeated", "replay",
        "settings", "tensor", "windows",
    ),
    ("amp", "fft", "linalg", "nn", "signal", "special", "sparse", "utils"),
    ("array_api", "distributions", "func", "fx", "optim", "serialization"),
    ("deploy",),
    (
        "caffe", "distributed", "hub", "keras", "models", "onnx", "static",
        "jit", "summary", "vision",
    ),
    ("run",),
    ("cli",),
)  # fmt: skip
"""What `twofold/` holds, level by level; what stands in one tuple may not import its neighbours,
save the modules of the public tensor, which are ordered by the import system itself."""

LEVEL = {name: level for level, names in enumerate(LEVELS) for name in names}
TENSOR_LEVEL = LEVEL["tensor"]
BASE_LEVEL = 0
FILES = sorted(ROOT.rglob("*.py"))


def _place(path: Path) -> str:
    """The first name below `twofold/`: a folder's name or a module's."""
    return path.relative_to(ROOT).with_suffix("").parts[0]


def _imports(path: Path) -> Iterator[tuple[str, int, bool]]:
    """(place imported, line, whether inside a function) for each import of Twofold's own."""
    package = ("twofold", *path.relative_to(ROOT).parts[:-1])
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for child in ast.walk(node)
    }
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                module = ".".join((*package[: len(package) - node.level + 1], module)).strip(".")
            names = [module]
            if module == "twofold":
                names = [f"twofold.{alias.name}" for alias in node.names]
        for name in names:
            head, _, rest = name.partition(".")
            if head == "twofold":
                yield rest.split(".")[0], node.lineno, id(node) in inside


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_down(path: Path) -> None:
    """Each import of Twofold's own stands at the top of the file and names a lower level."""
    place = _place(path)
    if place in ("__init__", "__main__"):
        assert not [line for _, line, inside in _imports(path) if inside]
        return
    assert place in LEVEL, f"{place} has no level: give it one in {Path(__file__).name}"
    level = LEVEL[place]
    wrong = []
    for name, line, inside in _imports(path):
        where = f"{path.relative_to(ROOT)}:{line}"
        if inside:
            wrong.append(f"{where} imports {name or 'twofold'} inside a function")
        if name == place or (level == TENSOR_LEVEL and LEVEL.get(name) == TENSOR_LEVEL):
            continue
        if level == BASE_LEVEL and LEVEL.get(name) == BASE_LEVEL:
            continue
        if name not in LEVEL or LEVEL[name] >= level:
            wrong.append(f"{where} imports {name or 'twofold'}, which is not below {place}")
    assert not wrong, "\n".join(wrong)


def test_every_import_is_at_the_top() -> None:
    """No import of anything is hidden inside a function, save of what is optional."""
    optional = {
        "einops", "google", "matplotlib", "mlxtend", "PIL", "tqdm", "torch", "jax", "onnx", "cupy",
        "nvidia",
    }  # fmt: skip
    wrong = []
    for path in FILES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for function in ast.walk(tree):
            if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                continue
            for node in ast.walk(function):
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom) and not node.level:
                    names = [node.module or ""]
                else:
                    continue
                wrong += [
                    f"{path.relative_to(ROOT)}:{node.lineno} imports {name} inside a function"
                    for name in names
                    if name.split(".")[0] not in optional
                ]
    assert not wrong, "\n".join(wrong)


def test_every_folder_is_there_for_a_reason() -> None:
    """Nothing lies beside the levels."""
    places = {_place(path) for path in FILES} - {"__init__", "__main__"}
    assert places <= set(LEVEL), sorted(places - set(LEVEL))
