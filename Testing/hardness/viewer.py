"""Attacks on a running viewer: what was tried, how often, what happened.

    python -m Testing.hardness.viewer [--only NAME]

Prints the rows of the table in README.md beside this file; ends with 1 where the viewer gave way.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import traceback
from pathlib import Path

from Testing.hardness.attacks import QUICK, SLOW
from Testing.hardness.requests_to import Asker
from Testing.viewer.running import SAMPLE, Running, start_viewer

#: Small, so that more than it is soon sent.
UPLOAD_LIMIT_MIB = "64"


def printed(running: Running) -> str:
    """What the viewer has printed since its address; it should not say a word of what strangers send."""
    number = running.process.stdout.fileno()
    os.set_blocking(number, False)
    try:
        return os.read(number, 65536).decode(errors="replace")
    except BlockingIOError:
        return ""
    finally:
        os.set_blocking(number, True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="name of one attack")
    only = parser.parse_args().only
    gave_way = False
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with start_viewer(None, folder / "viewer", str(SAMPLE), "--upload-limit", UPLOAD_LIMIT_MIB) as running:
            asker = Asker(running)
            for attack in (*QUICK, *SLOW):
                if only not in (None, attack.__name__):
                    continue
                (folder / attack.__name__).mkdir()
                try:
                    tried, outcome = attack(asker, folder / attack.__name__)
                except Exception:
                    traceback.print_exc()
                    tried, outcome, gave_way = 0, "GAVE WAY", True
                print(f"| `{attack.__name__}` | {attack.__doc__.strip()} | {tried} | {outcome} |", flush=True)
            said = printed(running)
            print(f"printed meanwhile: {said!r}; the viewer runs: {running.process.poll() is None}")
            gave_way |= bool(said) or running.process.poll() is not None
    sys.exit(gave_way)


if __name__ == "__main__":
    main()
