"""Video super-resolution for whole files: same frames, same times, same sound, same colours, more pixels.

    import vsr
    summary = vsr.upscale("holiday.mp4", "holiday-4x.mp4", settings={"model": "espcn", "scale": 4})

Names are resolved when they are first used (PEP 562), so that `import vsr` loads neither torch nor av.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vsr.core import errors as errors
    from vsr.engines.registry import models as models
    from vsr.engines.registry import open_engine as load_engine
    from vsr.io.probe import probe as probe
    from vsr.jobs.run import upscale as upscale

__version__ = "0.1.0"
__all__ = ["__version__", "errors", "load_engine", "models", "probe", "upscale"]

_HOMES = {
    "errors": ("vsr.core.errors", None),
    "load_engine": ("vsr.engines.registry", "open_engine"),
    "models": ("vsr.engines.registry", "models"),
    "probe": ("vsr.io.probe", "probe"),
    "upscale": ("vsr.jobs.run", "upscale"),
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'vsr' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    home = importlib.import_module(module)
    return home if attribute is None else getattr(home, attribute)


def __dir__() -> list[str]:
    return sorted(__all__)
