"""``python -m CTQualityAssessmentLib.worker``: serve requests from standard input until it closes."""

from __future__ import annotations

from CTQualityAssessmentLib.worker.loop import main

if __name__ == "__main__":
    main()
