"""Rules of a folder run: which files are passed over, and which get settings of their own, by what they are.

A rule file is TOML, its rules tried in order on every file. All that fit count, a later one's settings over an
earlier's; the first that skips ends it. They beat flags and presets, which speak of the whole folder.

    [[rule]]
    name = "film scans"
    when = { height = ">= 720", codec = ["prores", "ffv1"], path = "scans/*" }
    set = { scale = 4, crf = 14 }

    [[rule]]
    when = { duration = "< 1" }
    skip = "shorter than a second"
"""

from __future__ import annotations

import difflib
import fnmatch
import operator
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from vsr.core.errors import SettingsError
from vsr.core.media import MediaInfo
from vsr.core.presets import Preset, resolve
from vsr.core.settings import Resolved, fields
from vsr.io.muxing.containers import default_codec, default_container

Value = bool | int | float | str
_HDR = ("smpte2084", "arib-std-b67")  # PQ and HLG, as BT.2100-2 names them
_DEEP_CODECS = {"h264": "hevc", "vp9": "av1"}  # for 10 bits: what players show, or what there is an encoder for
# Decided once for the folder: who does the work, and what results are called.
_OF_THE_FOLDER = ("device", "cluster", "address", "container", "overwrite", "restart", "force", "trace", "trace_frames")
_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "": operator.eq, "=": operator.eq,
    "==": operator.eq, "!=": operator.ne,
}  # fmt: skip
_NUMBER = re.compile(r"\s*(<=|>=|==|!=|<|>|=|)\s*(-?\d+(?:\.\d+)?)\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What rules look at. frames, duration: by the header, 0 where it does not say. depth: bits a sample."""

    path: str
    kind: str
    container: str
    codec: str
    width: int
    height: int
    frames: int
    duration: float
    depth: int
    transfer: str
    is_interlaced: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Conditions that must all hold (of several values of one, any), and what then: settings, or `skip` with why."""

    name: str
    when: Mapping[str, tuple[Value, ...]]
    settings: Mapping[str, Value] = field(default_factory=dict)
    skip: str = ""

    def fits(self, traits: Traits) -> bool:
        return all(any(_holds(getattr(traits, name), value) for value in values) for name, values in self.when.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What rules make of a file. skip: why it is passed over, "" if it is not. names: of the rules that spoke."""

    resolved: Resolved
    skip: str = ""
    names: tuple[str, ...] = ()


def traits_of(info: MediaInfo, path: str, depth: int) -> Traits:
    """Give what rules look at, of a source whose headers were read; `path` is its name in the folder."""
    video = info.video
    duration = info.duration_s or 0.0
    counted = info.frame_count or video.header_frames or (round(duration * video.rate) if video.rate else 0)
    return Traits(
        path=path,
        kind=info.kind,
        container=default_container(info) if info.kind == "video" else info.container,
        codec=video.codec,
        width=video.width,
        height=video.height,
        frames=counted if info.kind == "video" else max(1, len(info.files)),
        duration=duration,
        depth=depth,
        transfer=video.color.transfer,
        is_interlaced=video.is_interlaced,
    )


def read_rules(path: Path) -> tuple[Rule, ...]:
    """Read a rule file.

    Raises:
        SettingsError: it cannot be read, or a rule in it is wrong; with close matches.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"cannot read rules {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"rules {path} are not valid TOML: {error}") from error
    _known(table, ("rule",), f"rules {path}")
    listed = table.get("rule", [])
    if not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
        raise SettingsError(f"rules {path}: every rule begins with [[rule]]")
    return tuple(_rule(item, f"{path}, rule {number}") for number, item in enumerate(listed, 1))


def large_rule(height: int) -> tuple[Rule, ...]:
    """Give the rule that passes over what has so many lines already."""
    said = f"already {height} lines high or more"
    return (Rule(name="already large", when={"height": (f">= {height}",)}, skip=said),)


def judge(traits: Traits, rules: Sequence[Rule], resolved: Resolved) -> Verdict:
    """Apply rules to a file; `resolved` is what holds for the folder.

    Raises:
        SettingsError: the settings together cannot be.
    """
    names: list[str] = []
    for rule in rules:
        if not rule.fits(traits):
            continue
        names.append(rule.name)
        if rule.skip:
            return Verdict(resolved=resolved, skip=rule.skip, names=tuple(names))
        resolved = _with(resolved, rule.settings, rule.name)
    return Verdict(resolved=resolved, names=tuple(names))


def usual(traits: Traits, resolved: Resolved) -> Resolved:
    """Give the settings with what holds unless the user says it shall not.

    HDR is kept deep. That interlaced videos have their fields merged needs no rule: it is the default of every run.
    """
    return kept_deep(traits, resolved)


def kept_deep(traits: Traits, resolved: Resolved) -> Resolved:
    """Give the settings with which a picture of PQ or HLG keeps at least 10 bits; what the user chose by flag stays."""
    encode = resolved.settings.encode
    if traits.kind != "video" or traits.transfer not in _HDR or _is_for_one_encoder(resolved):
        return resolved
    container = encode.container or traits.container
    codec = encode.codec or default_codec(container)
    wanted: dict[str, Value] = {}
    if codec in _DEEP_CODECS and resolved.origins["codec"] != "flag":
        codec = wanted["codec"] = _DEEP_CODECS[codec]
    is_shallow = traits.depth < 10 or encode.pix_fmt is not None or codec == "av1"
    if is_shallow and codec in ("h264", "hevc", "av1") and resolved.origins["pix_fmt"] != "flag":
        wanted["pix_fmt"] = "yuv420p10le"
    if not wanted:
        return resolved
    # A codec takes the other's quality and speed away; x264's and x265's are alike enough for what the user typed.
    kept = [name for name in ("crf", "encoder_preset") if codec == "hevc" and resolved.origins[name] == "flag"]
    made = _with(resolved, {**{name: getattr(encode, name) for name in kept}, **wanted}, "HDR in 10 bits")
    return replace(made, origins={**made.origins, **dict.fromkeys(kept, "flag")})


def _is_for_one_encoder(resolved: Resolved) -> bool:
    """Whether the user named an encoder, or options that another one would not understand."""
    names = [name for name in ("encoder", "codec_options") if resolved.origins[name] == "flag"]
    return any(getattr(resolved.settings.encode, name) != "hardware" for name in names)


def _with(resolved: Resolved, settings: Mapping[str, Value], name: str) -> Resolved:
    """Lay a rule's settings over those there are; what they replace (a scale, a height) goes."""
    given = {item.name: getattr(getattr(resolved.settings, item.block), item.name) for item in fields()}
    below = {key: value for key, value in given.items() if resolved.origins[key] != "default"}
    made = resolve(settings, Preset(name="", path=Path(), description="", values=below))
    origins = {key: resolved.origins[key] if origin == "preset " else origin for key, origin in made.origins.items()}
    return replace(made, origins=origins | dict.fromkeys(settings, f"rule {name}"))


def _holds(has: Value, wanted: Value) -> bool:
    if isinstance(has, bool) or isinstance(wanted, bool):
        return has is wanted
    if isinstance(has, int | float):
        match = _NUMBER.fullmatch(str(wanted))
        return match is not None and _COMPARE[match[1]](has, float(match[2]))
    return fnmatch.fnmatchcase(has, str(wanted))


def _rule(table: Mapping[str, object], where: str) -> Rule:
    _known(table, ("name", "when", "set", "skip"), where)
    when, settings, skip = table.get("when", {}), table.get("set", {}), table.get("skip", "")
    if not isinstance(when, dict) or not isinstance(settings, dict) or not isinstance(skip, str):
        raise SettingsError(f"{where}: `when` and `set` are tables, `skip` is a reason in words")
    if bool(settings) == bool(skip):
        raise SettingsError(f"{where} needs either `set` or `skip`")
    name = table.get("name", where.rpartition(", ")[2])
    return Rule(name=str(name), when=_conditions(when, where), settings=_settings(settings, where), skip=skip)


def _conditions(when: Mapping[str, object], where: str) -> dict[str, tuple[Value, ...]]:
    _known(when, tuple(Traits.__dataclass_fields__), f"{where}, `when`")
    found = {}
    for name, given in when.items():
        kind = str(Traits.__dataclass_fields__[name].type)
        values = given if isinstance(given, list) else [given]
        for value in values:
            is_number = isinstance(value, int | float | str) and _NUMBER.fullmatch(str(value)) is not None
            is_right = {"bool": isinstance(value, bool), "str": isinstance(value, str)}.get(kind, is_number)
            if not is_right:
                hint = {"bool": "true or false", "str": "text, * for anything"}.get(kind, '720 or ">= 720"')
                raise SettingsError(f"{where}: {name} = {value!r} is no condition", hint=f"Write {hint}.")
        found[name] = tuple(values)
    return found


def _settings(table: Mapping[str, object], where: str) -> dict[str, Value]:
    known = {item.name: item for item in fields() if item.name not in _OF_THE_FOLDER}
    for name in table:
        if name in _OF_THE_FOLDER:
            raise SettingsError(f"{where}: {name} holds for the whole folder", hint="Give it as a flag.")
    _known(table, tuple(known), f"{where}, `set`")
    found: dict[str, Value] = {}
    for name, value in table.items():
        try:
            checked = known[name].check(value)
        except SettingsError as error:
            raise SettingsError(f"{where}: {error.message}") from error
        assert isinstance(checked, bool | int | float | str)
        found[name] = checked
    return found


def _known(table: Mapping[str, object], names: Sequence[str], where: str) -> None:
    for name in table:
        if name not in names:
            close = difflib.get_close_matches(name, names, n=1)
            hint = f"Did you mean {close[0]!r}?" if close else f"There are {', '.join(names)}."
            raise SettingsError(f"{where}: there is no {name!r}", hint=hint)


def going_on(resolved: Resolved) -> Resolved:
    """Give the settings of a second try: what the first one has made is not made again, --restart or not."""
    settings = resolved.settings
    return replace(resolved, settings=replace(settings, run=replace(settings.run, restart=False)))
