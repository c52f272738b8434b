"""Video super-resolution for whole files: same frames, same times, same sound, same colours, more pixels.

    import vsr
    summary = vsr.upscale("holiday.mp4", "holiday-4x.mp4", settings={"model": "espcn", "scale": 4})

Footage to trained model: `extract`, `prepare`, `train`, `evaluate`, `export_model`, `import_model`; see docs/python.md.
Names are resolved when they are first used (PEP 562), so that `import vsr` loads neither torch nor av.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vsr.core import errors as errors
    from vsr.data.degrade import Degradation as Degradation
    from vsr.data.extract import extract as extract
    from vsr.data.extraction import Extraction as Extraction
    from vsr.data.preparation import Preparation as Preparation
    from vsr.data.prepare import prepare as prepare
    from vsr.data.split import Split as Split
    from vsr.engines.registry import models as models
    from vsr.engines.registry import open_engine as load_engine
    from vsr.evaluation.compare import evaluate as evaluate
    from vsr.io.probe import probe as probe
    from vsr.jobs.exchange import export_model as export_model
    from vsr.jobs.exchange import import_model as import_model
    from vsr.jobs.folder.entry import batch as batch
    from vsr.jobs.run import upscale as upscale
    from vsr.jobs.verify.entry import verify as verify
    from vsr.jobs.verify.expected import Expected as Expected
    from vsr.training.loop import train as train
    from vsr.training.recipe import find as find_recipe
    from vsr.training.recipe import read_recipe as read_recipe

__version__ = "0.1.0"
__all__ = [
    "Degradation",
    "Expected",
    "Extraction",
    "Preparation",
    "Split",
    "__version__",
    "batch",
    "errors",
    "evaluate",
    "export_model",
    "extract",
    "find_recipe",
    "import_model",
    "load_engine",
    "models",
    "prepare",
    "probe",
    "read_recipe",
    "train",
    "upscale",
    "verify",
]

_HOMES = {
    "Degradation": ("vsr.data.degrade", "Degradation"),
    "Expected": ("vsr.jobs.verify.expected", "Expected"),
    "Extraction": ("vsr.data.extraction", "Extraction"),
    "Preparation": ("vsr.data.preparation", "Preparation"),
    "Split": ("vsr.data.split", "Split"),
    "batch": ("vsr.jobs.folder.entry", "batch"),
    "errors": ("vsr.core.errors", None),
    "evaluate": ("vsr.evaluation.compare", "evaluate"),
    "export_model": ("vsr.jobs.exchange", "export_model"),
    "extract": ("vsr.data.extract", "extract"),
    "find_recipe": ("vsr.training.recipe", "find"),
    "import_model": ("vsr.jobs.exchange", "import_model"),
    "load_engine": ("vsr.engines.registry", "open_engine"),
    "models": ("vsr.engines.registry", "models"),
    "prepare": ("vsr.data.prepare", "prepare"),
    "probe": ("vsr.io.probe", "probe"),
    "read_recipe": ("vsr.training.recipe", "read_recipe"),
    "train": ("vsr.training.loop", "train"),
    "upscale": ("vsr.jobs.run", "upscale"),
    "verify": ("vsr.jobs.verify.entry", "verify"),
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'vsr' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    home = importlib.import_module(module)
    return home if attribute is None else getattr(home, attribute)


def __dir__() -> list[str]:
    return sorted(__all__)
