"""``ctqa view`` that writes into the file ``CTQA_TIMES`` when each step of its start was done."""

from __future__ import annotations

import functools
import os
import time

_FILE = open(os.environ["CTQA_TIMES"], "a", encoding="utf-8", buffering=1)


def done(step: str) -> None:
    _FILE.write(f"{time.time()}\t{time.process_time()}\t{step}\n")


def when_done(holder: object, name: str, step: str) -> None:
    """Write ``step`` when a function or coroutine of a module or class has ended."""
    function = getattr(holder, name)

    @functools.wraps(function)
    def timed(*args, **kwargs):
        result = function(*args, **kwargs)
        done(step)
        return result

    @functools.wraps(function)
    async def timed_later(*args, **kwargs):
        result = await function(*args, **kwargs)
        done(step)
        return result

    setattr(holder, name, timed_later if function.__code__.co_flags & 0x80 else timed)


def time_views() -> None:
    """Once the libraries are there."""
    from CTQualityAssessmentLib.viewer.frames import FrameScheduler
    from CTQualityAssessmentLib.viewer.opened import Opened
    from CTQualityAssessmentLib.viewer.read_ahead import ReadAhead
    from CTQualityAssessmentLib.viewer.viewer import Viewer

    when_done(Viewer, "__init__", "views made")
    when_done(ReadAhead, "result", "CT there, from the process that read it")
    when_done(Opened, "show_case", "CT in the views")
    when_done(FrameScheduler, "_render_frame", "picture drawn")


def main() -> None:
    done("Python runs")
    from CTQualityAssessmentLib.cli import main as command
    from CTQualityAssessmentLib.viewer import loading, server

    done("command loaded")
    load = loading.load_viewer

    def timed_load():
        done("server answers")
        viewer = load()
        done("libraries of the views loaded")
        time_views()
        return viewer

    loading.load_viewer = timed_load
    when_done(server, "_index", "page asked for")
    command()


if __name__ == "__main__":
    main()
