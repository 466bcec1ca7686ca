"""`torch.jit.annotations`: types for the script compiler."""

from __future__ import annotations

import typing as _typing
from typing import Any


class _Broadcasting:
    def __getitem__(self, kind: Any) -> Any:
        return list


Dict, List, Optional = _typing.Dict, _typing.List, _typing.Optional  # noqa: UP006
Tuple, Union = _typing.Tuple, _typing.Union  # noqa: UP006
BroadcastingList1 = BroadcastingList2 = BroadcastingList3 = _Broadcasting()
