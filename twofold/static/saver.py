"""`tf.train.Saver`: variables of a session in safetensors files, and back."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..serialization.safetensors import load_file, save_file
from .errors import NotFoundError
from .graph import get_default_graph
from .variables import Variable, global_variables

SUFFIX = ".safetensors"
_STATE = "checkpoint"


class Saver:
    """Saves and restores variables.

    `save(session, "model.ckpt", step)` writes `model.ckpt-STEP.safetensors` and notes it in the
    file `checkpoint` beside it; older ones than the last `max_to_keep` are deleted. TensorFlow's
    own checkpoints are another format and are not read.
    """

    def __init__(
        self, var_list: Sequence[Variable] | Mapping[str, Variable] | None = None,
        reshape: bool = False, sharded: bool = False, max_to_keep: int | None = 5,
        keep_checkpoint_every_n_hours: float = 10000.0, name: str | None = None,
        restore_sequentially: bool = False, saver_def: Any = None, builder: Any = None,
        defer_build: bool = False, allow_empty: bool = False,
    ) -> None:  # fmt: skip
        if keep_checkpoint_every_n_hours != 10000.0 or reshape or saver_def or builder:
            raise NotImplementedError(
                "[Saver] keep_checkpoint_every_n_hours, reshape, saver_def and builder are not "
                "supported"
            )
        chosen = global_variables() if var_list is None else var_list
        if not chosen and not (allow_empty or defer_build):
            raise ValueError("No variables to save")
        self._given = None if var_list is None else chosen
        self._graph = get_default_graph()
        self._keep = max_to_keep
        self.last_checkpoints: list[str] = []

    def _variables(self) -> dict[str, Variable]:
        chosen = self._given
        if isinstance(chosen, Mapping):
            return dict(chosen)
        listed = self._graph.get_collection("variables") if chosen is None else chosen
        return {v.op_name: v for v in listed}

    def save(
        self, sess: Any, save_path: str, global_step: Any = None,
        latest_filename: str | None = None, meta_graph_suffix: str = "meta",
        write_meta_graph: bool = True, write_state: bool = True,
    ) -> str:  # fmt: skip
        """Write the variables' values; gives the path to restore them by. Graphs are not written.
        `write_state` notes the path in the file `checkpoint`."""
        if global_step is not None:
            step = global_step if isinstance(global_step, int) else int(sess.run(global_step))
            save_path = f"{save_path}-{step}"
        folder = os.path.dirname(save_path)
        if folder and not os.path.isdir(folder):
            raise ValueError(f"Parent directory of {save_path} doesn't exist, can't save.")
        tensors = {}
        for name, variable in self._variables().items():
            if variable not in sess.values:
                sess.run(variable)  # raises: it has no value
            tensors[name] = sess.values[variable]
        save_file(tensors, save_path + SUFFIX)
        self.last_checkpoints = [p for p in self.last_checkpoints if p != save_path] + [save_path]
        while self._keep and len(self.last_checkpoints) > self._keep:
            old = self.last_checkpoints.pop(0) + SUFFIX
            if os.path.exists(old):
                os.remove(old)
        if not write_state:
            return save_path
        with open(os.path.join(folder, latest_filename or _STATE), "w", encoding="utf-8") as f:
            f.write(f'model_checkpoint_path: "{os.path.basename(save_path)}"\n')
            for path in self.last_checkpoints:
                f.write(f'all_model_checkpoint_paths: "{os.path.basename(path)}"\n')
        return save_path

    def restore(self, sess: Any, save_path: str) -> None:
        """Give a session's variables the values in a file. NotFoundError where the file or a
        variable in it is not there."""
        if not checkpoint_exists(save_path):
            raise NotFoundError(
                f"no checkpoint {save_path + SUFFIX!r}; try the path that Saver.save gave"
            )
        tensors = load_file(save_path + SUFFIX)
        for name, variable in self._variables().items():
            if name not in tensors:
                raise NotFoundError(f"Key {name} not found in checkpoint {save_path!r}")
            sess.set_value(variable, tensors[name])


def checkpoint_exists(checkpoint_prefix: str) -> bool:
    """Whether there is a checkpoint of this path."""
    return os.path.exists(checkpoint_prefix + SUFFIX)


def latest_checkpoint(checkpoint_dir: str, latest_filename: str | None = None) -> str | None:
    """The path of the last checkpoint in a folder, None where there is none."""
    state = os.path.join(checkpoint_dir, latest_filename or _STATE)
    if not os.path.exists(state):
        return None
    with open(state, encoding="utf-8") as f:
        found = re.search(r'^model_checkpoint_path: "(.*)"$', f.read(), re.MULTILINE)
    path = os.path.join(checkpoint_dir, found.group(1)) if found else ""
    return path if path and checkpoint_exists(path) else None
