"""The sources that a wish means: its folder, or what lies below its URL, less what a folder run made there."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

from vsr.io import remote
from vsr.jobs.folder.home import Home
from vsr.jobs.folder.listing import Listing, read_folder, read_url
from vsr.jobs.folder.wish import Wish


def sources(wish: Wish, home: Home, made: Callable[[], Collection[str]]) -> Listing:
    """Read the source folder. made: gives names of results below `home`, no sources where both are one folder.

    It is asked after the folder is read: what another process makes is noted before it is there.

    Raises:
        InputError, UsageError: as `read_folder`, `read_url`.
    """
    listing = _by_url(wish, wish.source, home) if isinstance(wish.source, str) else _here(wish, wish.source, home)
    ours = {_plain(home.address(name)) for name in made()}
    return replace(listing, files=tuple(found for found in listing.files if _plain(found.address) not in ours))


def _here(wish: Wish, folder: Path, home: Home) -> Listing:
    return read_folder(
        folder,
        include=wish.include,
        exclude=wish.exclude,
        is_recursive=wish.is_recursive,
        never=() if home.is_also(folder) else (home.folder,),
    )


def _by_url(wish: Wish, url: str, home: Home) -> Listing:
    return read_url(
        url,
        include=wish.include,
        exclude=wish.exclude,
        is_recursive=wish.is_recursive,
        never=None if home.is_also(url) else home.url,
    )


def _plain(address: str) -> str:
    return remote.plain(address) if remote.is_url(address) else str(Path(address).absolute())
