"""Opening of local media files for reading: no URLs, no playlists, our own errors. The only place that opens them."""

from __future__ import annotations

import difflib
import logging
from pathlib import Path

import av
import av.error
from av.container import InputContainer

from vsr.core.errors import DecodeError, InputError, InputLimits, InputMissing, NotMedia, UnsupportedInput
from vsr.io.limits import MAX_PIXELS, MAX_STREAMS, check_streams, ffmpeg_limit

log = logging.getLogger(__name__)

# Demuxers that read one file and nothing else. Playlists (hls, dash, concat, imf) and image2 open further names.
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpegtsraw,mpeg,mpegvideo,flv,live_flv,asf,asf_o,ogg,nut,mxf,gxf,"
    "gif,apng,ivf,obu,h261,h263,h264,hevc,vvc,m4v,av1,vc1,vc1test,cavsvideo,dirac,dnxhd,dv,mjpeg,ingenient,rm,wtv,swf,"
    "yuv4mpegpipe,nsv,nuv,smk,bink,roq,flic,film_cpk,fits,ser,cine,lxf,pva,ty,webp,"
    "wav,w64,mp3,aac,ac3,eac3,flac,ape,wv,tta,amr,amrnb,amrwb,au,aiff,caf,dts,truehd,tak,mpc,mpc8,opus,loas,latm"
)


def open_input(path: Path, *, max_pixels: int = MAX_PIXELS) -> InputContainer:
    """Open a local regular file; the caller closes it.

    Raises:
        InputMissing: there is none.
        UnsupportedInput: it is no regular file.
        NotMedia: no demuxer knows it.
        DecodeError: a media file that lacks its index.
        InputLimits: it has more than MAX_STREAMS streams.
    """
    check_regular(path)
    try:
        # "file:" and the absolute path keep names like `concat:a|b` and `-i.mp4` from meaning anything else.
        name = f"file:{path.absolute()}"
        name.encode()
    except UnicodeEncodeError as error:
        raise UnsupportedInput(f"the name of {str(path)!r} is not UTF-8", hint="Rename the file.") from error
    options = {
        "protocol_whitelist": "file",
        "format_whitelist": FORMATS,
        "max_streams": str(MAX_STREAMS + 1),
        "max_pixels": ffmpeg_limit(max_pixels),  # of the decoders that look for a stream's properties
    }
    try:
        container = av.open(name, "r", options=options, metadata_errors="replace")
    except av.error.FFmpegError as error:
        raise _refusal(path, error) from error
    try:
        check_streams(path, len(container.streams))
    except InputLimits:
        container.close()
        raise
    return container


def check_regular(path: Path) -> None:
    """Refuse what is not a local regular file with something in it.

    Raises:
        InputMissing, UnsupportedInput, NotMedia: see above.
    """
    if not path.exists():
        raise missing(path)
    if not path.is_file():
        raise UnsupportedInput(f"{path} is not a regular file", hint="Copy it to a file first.")
    if path.stat().st_size == 0:
        raise NotMedia(f"{path} is empty (0 bytes)", hint="Was the download or the recording broken off?")


def missing(path: Path) -> InputMissing:
    """Give the error for a file that is not there, with the names nearby that resemble it."""
    names = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    close = difflib.get_close_matches(path.name, names, n=3)
    hint = f"Did you mean {' or '.join(close)}?" if close else "Check the path."
    return InputMissing(f"{path} does not exist", hint=hint)


def _refusal(path: Path, error: av.error.FFmpegError) -> InputError:
    if isinstance(error, PermissionError):
        return InputError(f"{path} cannot be read: permission denied", hint="Check the file's permissions.")
    if isinstance(error, FileNotFoundError):
        return missing(path)
    head = path.open("rb").read(4096)
    if head[4:8] == b"ftyp":
        return DecodeError(
            f"{path} is an MP4/MOV file without its index (moov)",
            hint="The recording or the download was broken off; fetch it again, or repair it with a recovery tool.",
        )
    return NotMedia(f"{path} is not a media file: it holds {_describe(head)}", hint="Name a video or an image.")


def _describe(head: bytes) -> str:
    """Say what the first bytes of a file look like, for people."""
    known = {
        b"PK\x03\x04": "a ZIP archive",
        b"%PDF": "a PDF document",
        b"\x7fELF": "a program",
        b"\x1f\x8b": "gzip data",
    }
    for magic, words in known.items():
        if head.startswith(magic):
            return words
    if head.startswith(b"#EXTM3U"):
        return "a playlist (playlists are not followed)"
    text = head.decode("utf-8", errors="ignore")
    is_text = bool(text) and all(character.isprintable() or character in "\r\n\t\f" for character in text)
    return "text" if is_text and len(text.encode()) > 0.9 * len(head) else "data of no format that is known"
