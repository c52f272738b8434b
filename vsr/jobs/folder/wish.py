"""What a folder run is asked for, settings apart."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vsr.io import remote
from vsr.jobs.folder.naming import TEMPLATE
from vsr.jobs.folder.rules import Rule, large_rule

Where = Path | str  # a str is a URL


def where(given: str | Path) -> Where:
    """Give what a user's words name: a folder of this machine, or a URL."""
    return str(given) if remote.is_url(str(given)) else Path(given)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Sources, destination, names, rules. retry: times that what failed is tried again, after the rest.

    is_usual: the rules that everybody wants hold: HDR keeps 10 bits.
    """

    source: Where
    destination: Where
    name: str = TEMPLATE
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    is_recursive: bool = True
    rules: tuple[Rule, ...] = ()
    skip_height: int | None = None
    is_usual: bool = True
    retry: int = 0

    def every_rule(self) -> tuple[Rule, ...]:
        """Give all rules, in the order in which they are tried."""
        large = large_rule(self.skip_height) if self.skip_height is not None else ()
        return (*large, *self.rules)
