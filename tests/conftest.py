"""What every test runs under: each stage of a compile is verified."""

from __future__ import annotations

import os

os.environ.setdefault("TWOFOLD_VERIFY", "1")
