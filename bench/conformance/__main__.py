"""The command line: see `bench/conformance/__init__.py`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[2] / "docs" / "pytorch_names.md"


def main() -> int:
    """Check, print, and write the page and the data."""
    p = argparse.ArgumentParser(prog="python -m bench.conformance", description=__doc__)
    p.add_argument("--only", help="names of entries, with commas: shows them; writes no page")
    p.add_argument("--jobs", type=int, default=1, help="worker processes")
    p.add_argument("--json", help="write the results to a file")
    p.add_argument("--resume", action="store_true", help="only entries that --json has not yet")
    p.add_argument("--from", dest="source", help="take the results from a file instead")
    p.add_argument("--page", default=str(PAGE), help="where to write the page")
    args = p.parse_args()
    from .page import summary, write
    from .run import Worker, run

    known: dict[str, Any] = {}
    if args.source or args.resume:
        path = Path(args.source or args.json)
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if not args.source:
        worker = Worker()
        wanted = set(args.only.split(",")) if args.only else None
        chosen = [
            n for n in worker.names
            if n not in known and (wanted is None or n.split(":")[1] in wanted)
        ]  # fmt: skip
        worker.close()

        def report(name: str, result: dict[str, Any]) -> None:
            known[name] = result
            _show(name, result, bool(args.only))
            if args.json:  # after each, so that what is cut short keeps what it has
                text = json.dumps(dict(sorted(known.items())), indent=1) + "\n"
                Path(args.json).write_text(text, encoding="utf-8")

        run(chosen, args.jobs, report)
    results = dict(sorted(known.items()))
    if not args.only:
        write(results, Path(args.page))
        print(summary(results))
    return 0


def _show(name: str, result: dict[str, Any], all_: bool) -> None:
    wrong = {k: v for k, v in result.items() if v["equal"] != v["total"]}
    if wrong or all_:
        print(name, {k: f"{v['equal']}/{v['total']}" for k, v in result.items()}, flush=True)
        for kind, outcome in wrong.items():
            for text in outcome["failures"][: 3 if all_ else 1]:
                print(f"    {kind}: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
