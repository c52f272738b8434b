"""Lets spandrel import where torchvision is absent or broken.

Beside a CPU-only torch the index's torchvision wheel fails with `operator torchvision::nms does not exist`. Only two
of spandrel's files import it, for a face and an inpainting model that vsr does not run.
"""

from __future__ import annotations

import logging
import sys
from types import ModuleType
from typing import NoReturn

log = logging.getLogger(__name__)


def ensure_torchvision() -> bool:
    """Import torchvision, or put a stub in its place. Gives whether it is the real one."""
    present = sys.modules.get("torchvision")
    if present is not None:
        return not hasattr(present, "__vsr_stub__")
    try:
        import torchvision.transforms.functional  # type: ignore[import-untyped,import-not-found,unused-ignore]  # noqa: F401
    except (ImportError, RuntimeError, AttributeError, OSError) as error:
        log.debug("torchvision does not import, a stub takes its place: %s", error)
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        _install()
        return False
    return True


def _install() -> None:
    names = ("torchvision", "torchvision.transforms", "torchvision.transforms.functional")
    modules = {name: ModuleType(name) for name in names}
    functional = modules["torchvision.transforms.functional"]
    functional.__dict__.update(InterpolationMode=_Absent, rotate=_absent, normalize=_absent)
    modules["torchvision.transforms"].__dict__["functional"] = functional
    modules["torchvision"].__dict__.update(transforms=modules["torchvision.transforms"], __vsr_stub__=True)
    for module in modules.values():
        module.__path__ = []
    sys.modules.update(modules)


class _Absent:
    BILINEAR = "bilinear"
    NEAREST = "nearest"


def _absent(*_: object) -> NoReturn:
    raise ImportError("this model needs torchvision, which does not import on this machine")
