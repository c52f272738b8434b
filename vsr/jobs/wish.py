"""What a folder run is asked for, settings apart."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vsr.jobs.naming import TEMPLATE
from vsr.jobs.rules import Rule, large_rule, usual_rules


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Sources, destination, names, rules. retry: times that what failed is tried again, after the rest.

    is_usual: the rules that everybody wants hold: interlaced videos are passed over, HDR keeps 10 bits.
    """

    source: Path
    destination: Path
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
        usual = usual_rules() if self.is_usual else ()
        large = large_rule(self.skip_height) if self.skip_height is not None else ()
        return (*usual, *large, *self.rules)
