"""A worker: reads names of entries, one a line, and writes what came of each as a line of JSON."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import warnings
from typing import Any

import torch
from torch.testing._internal.common_methods_invocations import op_db
from torch.testing._internal.common_modules import module_db
from torch.testing._internal.common_optimizers import optim_db

from .check_nn import check_module, check_optimizer
from .check_op import check
from .outcome import text_of


def entries() -> dict[str, tuple[Any, Any]]:
    """Every entry of the three databases: its check and itself."""
    found: dict[str, tuple[Any, Any]] = {}
    for op in op_db:
        if "jiterator" in op.name or op.name.startswith("torch.ops") or op.name[:1] == "_":
            continue  # not names of the documentation
        found[f"op:{op.name}:{op.variant_test_name}"] = (check, op)
    for entry in module_db:
        path = f"{entry.module_cls.__module__}.{entry.module_cls.__name__}"
        if getattr(torch.nn, entry.module_cls.__name__, None) is entry.module_cls:
            found[f"module:nn.{entry.module_cls.__name__}:"] = (check_module, entry)
        elif path.startswith("torch.nn.modules"):
            raise AssertionError(f"{path} is not in torch.nn")
    for entry in optim_db:
        found[f"optim:optim.{entry.optim_cls.__name__}:"] = (check_optimizer, entry)
    return found


def main() -> None:
    """Serve until the input ends."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    answers = os.fdopen(os.dup(1), "w")
    sys.stdout = sys.stderr
    table = entries()
    print(json.dumps(list(table)), file=answers, flush=True)
    for line in sys.stdin:
        check_entry, entry = table[line.strip()]
        try:
            with contextlib.redirect_stdout(sys.stderr):
                found = {k: v.as_json() for k, v in check_entry(entry).items()}
        except Exception as error:
            found = {"forward": {"total": 1, "equal": 0, "failures": [text_of(error)]}}
        print(json.dumps(found), file=answers, flush=True)


if __name__ == "__main__":
    main()
