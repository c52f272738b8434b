"""Versions of the libraries that media and networks go through."""

from __future__ import annotations

from importlib import metadata

import av
from av import library_versions

PACKAGES = ("torch", "av", "numpy", "opencv-contrib-python-headless", "spandrel", "safetensors")


def libraries() -> tuple[tuple[str, str], ...]:
    """Give (name, version) of each, FFmpeg inside PyAV too."""
    found = [(name, _version(name)) for name in PACKAGES]
    inside = ", ".join(f"{name} {'.'.join(map(str, version))}" for name, version in library_versions.items())
    return (*found, ("FFmpeg in PyAV", f"{av.ffmpeg_version_info} ({inside})"))


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
