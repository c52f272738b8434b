"""A wish to stop, carried from whoever hears the signal to whoever hands out work."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Stop:
    """Asked for once, heeded between two chunks: what is in hand is finished first.

    code: the exit code that the wish ends the program with (128 + the signal's number). is_heard: whether somebody
    hands out work; before that there is nothing to finish, and a signal ends the program at once.
    """

    asked: bool = False
    code: int = 130
    is_heard: bool = True

    def ask(self, code: int = 130) -> None:
        """Ask that no further chunk is begun. Safe to call from a signal handler."""
        self.asked, self.code = True, code
