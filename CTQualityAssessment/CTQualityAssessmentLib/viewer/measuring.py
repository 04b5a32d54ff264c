"""``python -m CTQualityAssessmentLib.viewer.measuring``: the physical measures, made in a process of their own.

They keep all cores busy, and the pictures of the viewer would stutter beside them. The request comes as one line on
standard input, as for :mod:`CTQualityAssessmentLib.viewer.export`; progress goes out as lines of JSON. A second line,
or the end of the input, asks to stop: what is measured by then is kept.
"""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

from CTQualityAssessmentLib.assessment.measures import measure_volume
from CTQualityAssessmentLib.reporting.measures_file import write_measures
from CTQualityAssessmentLib.worker.exchange import read_volume_file
from CTQualityAssessmentLib.worker.protocol import AssessRequest, decode


def main() -> None:
    """Serve the one request."""
    request = AssessRequest.from_message(decode(sys.stdin.buffer.readline()))
    stop = threading.Event()

    def listen() -> None:
        sys.stdin.buffer.readline()
        stop.set()

    def progress(done: int, total: int, message: str) -> None:
        sys.stdout.write(json.dumps({"done": done, "total": total, "message": message}) + "\n")
        sys.stdout.flush()

    threading.Thread(target=listen, daemon=True).start()
    measures = measure_volume(read_volume_file(request), progress=progress, cancelled=stop.is_set)
    write_measures(Path(request.folder), measures)


if __name__ == "__main__":
    main()
