"""What this machine has, as far as vsr cares: each line is a fact that was tried, not assumed."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass

from vsr import __version__
from vsr.core.errors import VsrError
from vsr.engines import device, registry
from vsr.engines.weights import verify
from vsr.io import ffmpeg
from vsr.io.encoding import hardware
from vsr.io.versions import libraries


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One fact. `ok` is None where it is neither good nor bad (a device that need not be there)."""

    section: str
    name: str
    value: str
    ok: bool | None = None


def report() -> tuple[Finding, ...]:
    """Look at software, devices, encoders and weights; encoders are really opened, digests really computed."""
    return (*_software(), *_machine(), *_coders(), *_models())


def _software() -> list[Finding]:
    found = [
        Finding(section="software", name="vsr", value=__version__),
        Finding(section="software", name="python", value=f"{platform.python_version()} ({sys.executable})"),
    ]
    found += [Finding(section="software", name=name, value=value) for name, value in libraries()]
    program = ffmpeg.program()
    value = str(program) if program else 'not found: --decoder ffmpeg needs it (pip install "vsr[ffmpeg]")'
    return [*found, Finding(section="software", name="ffmpeg program", value=value, ok=None if not program else True)]


def _machine() -> list[Finding]:
    return [Finding(section="machine", name=name, value=value, ok=ok) for name, value, ok in device.describe()]


def _coders() -> list[Finding]:
    tried = (("encoders", hardware.usable_encoders()), ("hardware decoders", hardware.usable_decoders()))
    return [
        Finding(section=section, name=name, value=said, ok=said == "ok" or None)
        for section, coders in tried
        for name, said in coders.items()
    ]


def _models() -> list[Finding]:
    found = []
    for card in registry.models():
        if not card.digest:
            continue
        try:
            verify(card)
            said, ok = f"x{card.scale}, {card.parameters:,} parameters, digest matches", True
        except VsrError as error:
            said, ok = error.message, False
        found.append(Finding(section="weights", name=card.id, value=said, ok=ok))
    return found
