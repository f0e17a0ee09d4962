"""What the end of a block leaves in reference cycles."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def left_behind() -> Iterator[list[str]]:
    """Yield a list that has, after the block, the names of what is in reference cycles.

    These are frames, and objects of the exporter's classes.
    """
    names: list[str] = []
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield names
        gc.collect()
        names += [each.f_code.co_qualname for each in gc.garbage if isinstance(each, FrameType)]
        classes = map(type, gc.garbage)
        names += [one.__name__ for one in classes if one.__module__.startswith("exporter.")]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
