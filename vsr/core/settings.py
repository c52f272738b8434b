"""Settings: everything a user can choose for `vsr upscale`, typed, bounded, with its help text.

The command line's flags and the presets' keys are generated from these fields, so that one name serves flag, TOML
key, JSON key and documentation (`encoder_preset` is `--encoder-preset`). Only `jobs.plan` and `pipeline.chunk` read
Settings; the trades below take plain arguments.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args, get_origin, get_type_hints

from vsr.core.errors import SettingsError
from vsr.core.sampling import ColorFix, NoiseMode

Device = str  # "auto", "cpu", "cuda", "cuda:1"
PrecisionChoice = Literal["auto", "fp32", "bf16", "fp16"]
Codec = Literal["h264", "hevc", "av1", "vp9", "prores", "ffv1"]
Decoder = Literal["pyav", "ffmpeg"]
Deinterlace = Literal["auto", "off", "frame", "field"]
Hwaccel = Literal["off", "auto", "cuda", "qsv", "vaapi", "videotoolbox", "d3d11va"]
Cluster = Literal["ray"]
EdgePolicy = Literal["clamp", "mirror", "center"]


def option(
    default: object,
    help: str,
    *,
    flag: str | None = None,
    low: float | None = None,
    high: float | None = None,
    metavar: str | None = None,
) -> Any:
    """Declare a setting: its default, its help, a short flag beside the long one, inclusive bounds."""
    meta = {"help": help, "flag": flag, "low": low, "high": high, "metavar": metavar}
    return field(default=default, metadata=meta)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    model: str | None = option(None, "Model name or weight file (default: the best shipped one).", flag="-m")
    scale: float | None = option(None, "Output size / input size (default: the model's).", flag="-s", low=0.01, high=64)
    height: int | None = option(None, "Exact output height in pixels.", low=1, high=65536)
    width: int | None = option(None, "Exact output width in pixels.", low=1, high=65536)
    device: Device = option("auto", "auto, cpu, cuda, cuda:N, all (GPUs), or several: cuda:0,cuda:1.", metavar="DEVICE")
    precision: PrecisionChoice = option(
        "auto", "Arithmetic of the network (auto: the fastest that passes a self-test)."
    )
    batch: int | None = option(
        None, "Windows in one network call (default: 1 on a CPU, by size on a GPU).", low=1, high=256
    )
    tile: int | None = option(None, "Largest tile side in input pixels (default: by memory).", low=16, high=65536)
    workers: int | None = option(
        None, "Frames inferred at the same time on a CPU (default: the cores).", low=1, high=256
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TemporalSettings:
    frames: int | None = option(None, "Frames in a window, odd (default: the model's).", low=1, high=31)
    stride: int = option(1, "Distance in frames between neighbours in a window.", low=1, high=100)
    edge: EdgePolicy = option("clamp", "What stands in for neighbours beyond the ends of a shot.")
    shots: bool = option(True, "Restart windows at shot cuts.")


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffusionSettings:
    steps: int | None = option(
        None,
        "Network calls a frame: 1 gives the faithful mean, more add detail (default: the model's).",
        low=1,
        high=10_000,
    )
    detail: float = option(1.0, "How much of what later steps add is kept: 0 none, 1 all.", low=0, high=1)
    consistency: int | None = option(
        None,
        "Times the result is brought back to the source's frame (default: by the source's codec).",
        low=0,
        high=20,
    )
    noise: NoiseMode = option("pan", "Where the noise stays: with the moving picture, on the screen, or nowhere.")
    color_fix: ColorFix | None = option(
        None, "How colours are brought back, in models that let them drift (default: the model's)."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeSettings:
    codec: Codec | None = option(None, "Video codec (default: h264; what the container holds).")
    crf: float | None = option(None, "Constant quality; smaller is better (default: by codec).", low=0, high=63)
    encoder_preset: str | None = option(None, "The encoder's own speed preset (default: by codec).", metavar="NAME")
    encoder: str | None = option(
        None, "FFmpeg's encoder, or hardware: the first that works here (default: by codec, software).", metavar="NAME"
    )
    keyint: int | None = option(None, "Most frames from keyframe to keyframe (default: ten seconds).", low=1, high=9999)
    max_bitrate: str = option(
        "auto", "Cap of the bit rate: auto (by the source's and the sizes), off, 8M, 900k.", metavar="RATE"
    )
    codec_options: str | None = option(
        None, "Options handed to the encoder as they are; a comma in a value is written \\,.", metavar="KEY=VALUE,..."
    )
    pix_fmt: str | None = option(None, "Pixel format of the output (default: the source's).", metavar="NAME")
    container: str | None = option(
        None, "Container of the output (default: by the output's suffix, else the source's).", metavar="NAME"
    )
    square_pixels: bool = option(
        False, "Stretch the picture of a source whose pixels are not square, so that its own are."
    )
    autorotate: bool = option(False, "Turn the picture as players show it, instead of keeping the turn as metadata.")
    image_depth: int | None = option(None, "Bits a sample of written images (default: the source's).", low=8, high=16)
    faststart: bool = option(True, "Put the index of mp4/mov first, so that playing starts before loading ends.")
    encoder_threads: int | None = option(None, "Threads of the encoder (default: the cores).", low=1, high=256)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    decoder: Decoder = option("pyav", "What decodes: PyAV, or the ffmpeg program.")
    hwaccel: Hwaccel = option("off", "Decode on this hardware; a frame that is lost there is decoded in software.")
    deinterlace: Deinterlace = option(
        "auto", "Interlaced frames: off, one picture a frame, one a field; auto looks, and makes one a frame."
    )
    audio: bool = option(True, "Carry the sound on.")
    map: str | None = option(
        None,
        "Streams carried beside the video: numbers, or a, s, d, t, v, alone, with a number or a language; - before one "
        "leaves it out: a:0,s:eng,-4 (default: all).",
        metavar="STREAM,...",
    )
    verify: bool = option(False, "Hold the result against the source before it gets its name (as vsr verify does).")
    start: str | None = option(None, "Begin here: seconds or [HH:]MM:SS[.mmm].", metavar="TIME")
    end: str | None = option(None, "End before this: seconds or [HH:]MM:SS[.mmm].", metavar="TIME")
    rate: str | None = option(None, "Frame rate of an image sequence (default: 25).", metavar="NUM[/DEN]")
    seed: int = option(0, "Seed of engines that draw noise.", low=0, high=2**63 - 1)
    trace: str | None = option(
        None, "Write each step of chosen frames of a diffusion model here, a PNG a frame.", metavar="DIR"
    )
    trace_frames: str | None = option(
        None,
        "Frames to trace, counted from 0 at the first one restored (default: first, middle, last).",
        metavar="N,N,...",
    )
    chunk_frames: int | None = option(
        None, "Most frames in a chunk, the unit of work and of resume (default: by model).", low=1, high=1_000_000
    )
    cluster: Cluster | None = option(None, "Run the chunks on a cluster of machines.")
    address: str | None = option(None, "Where the cluster is (default: started here).", metavar="HOST:PORT")
    max_pixels: int = option(
        1 << 28, "Largest picture that is opened or made, in pixels.", low=1, high=1 << 40, metavar="N"
    )
    overwrite: bool = option(False, "Replace an existing output.")
    restart: bool = option(False, "Begin anew: throw away what an interrupted run has done.")
    force: bool = option(False, "Start although disk, memory or time will not do by the forecast.")
    strict: bool = option(False, "Fail on damaged input and on losses, instead of reporting them.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    engine: EngineSettings = field(default_factory=EngineSettings)
    temporal: TemporalSettings = field(default_factory=TemporalSettings)
    diffusion: DiffusionSettings = field(default_factory=DiffusionSettings)
    encode: EncodeSettings = field(default_factory=EncodeSettings)
    run: RunSettings = field(default_factory=RunSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingField:
    """One setting, as generators of flags, documentation and checks see it."""

    block: str
    name: str
    kind: type  # bool, int, float or str
    choices: tuple[str, ...]
    default: object
    help: str
    flag: str | None
    low: float | None
    high: float | None
    metavar: str | None

    def check(self, value: object) -> object:
        """Give `value` as this field's type.

        Raises:
            SettingsError: wrong type, out of bounds or not among the choices.
        """
        if value is None:
            return None
        if self.kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, self.kind) or (isinstance(value, bool) and self.kind is not bool):
            raise SettingsError(f"{self.name} must be of type {self.kind.__name__}, got {value!r}")
        if self.choices and value not in self.choices:
            raise SettingsError(f"{self.name} must be one of {', '.join(self.choices)}, got {value!r}")
        if isinstance(value, int | float) and not isinstance(value, bool):
            if math.isnan(value):
                raise SettingsError(f"{self.name} must be a number, got {value!r}")
            if self.low is not None and value < self.low:
                raise SettingsError(f"{self.name} must be at least {self.low:g}, got {value:g}")
            if self.high is not None and value > self.high:
                raise SettingsError(f"{self.name} must be at most {self.high:g}, got {value:g}")
        return value


BLOCKS: Mapping[str, type] = {
    "engine": EngineSettings,
    "temporal": TemporalSettings,
    "diffusion": DiffusionSettings,
    "encode": EncodeSettings,
    "run": RunSettings,
}


def fields() -> Iterator[SettingField]:
    """Give every setting, in the order of the command line."""
    for block, cls in BLOCKS.items():
        hints = get_type_hints(cls)
        for item in dataclasses.fields(cls):
            kind, choices = _plain(hints[item.name])
            yield SettingField(
                block=block, name=item.name, kind=kind, choices=choices, default=item.default, **item.metadata
            )


def _plain(hint: Any) -> tuple[type, tuple[str, ...]]:
    """Take `int | None` and `Literal[...] | None` apart."""
    parts = [part for part in get_args(hint) if part is not type(None)]
    if get_origin(hint) is Literal:
        return str, tuple(str(part) for part in get_args(hint))
    if parts:
        return _plain(parts[0]) if len(parts) == 1 else (str, ())
    return (hint if isinstance(hint, type) else str), ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """Settings with each value's origin: `default`, `preset NAME`, `file PATH` or `flag`."""

    settings: Settings
    origins: Mapping[str, str]


def build(values: Mapping[str, object], origins: Mapping[str, str]) -> Resolved:
    """Make Settings from a flat mapping of names; what is absent or None keeps its default.

    Raises:
        SettingsError: a name is unknown (with a close match); a value is not of its field's type or out of bounds.
    """
    names = [item.name for item in fields()]
    for name in values:
        if name not in names:
            close = difflib.get_close_matches(name, names, n=1)
            raise SettingsError(
                f"there is no setting {name!r}",
                hint=f"Did you mean {close[0]!r}?" if close else f"Settings: {', '.join(names)}.",
            )
    blocks: dict[str, dict[str, Any]] = {name: {} for name in BLOCKS}
    where: dict[str, str] = {}
    for item in fields():
        value = item.check(values.get(item.name))
        where[item.name] = origins.get(item.name, "default") if value is not None else "default"
        if value is not None:
            blocks[item.block][item.name] = value
    made = {name: cls(**blocks[name]) for name, cls in BLOCKS.items()}
    return Resolved(settings=Settings(**made), origins=where)
