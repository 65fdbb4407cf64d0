"""Checkers of the exercises: each takes the reader's answer and says in one line whether it is right, or what is wrong.

    from gan_utils.exercises import chapter_02 as check
"""

import functools
from collections.abc import Callable
from typing import Any

from torch import Tensor


class Wrong(Exception):
    """Raised inside a checker; its text tells the reader what to look at."""


def expect(condition: object, message: str) -> None:
    """Raises Wrong(message) unless the condition holds."""
    if not condition:
        raise Wrong(message)


def checker(judge: Callable[[Any], str]) -> Callable[[Any], None]:
    """Turns `judge(answer)`, which returns praise or raises Wrong, into a checker that prints one line, always."""

    @functools.wraps(judge)
    def check(answer: Any) -> None:
        try:
            line = f"✓ {judge(answer)}"
        except NotImplementedError:
            line = "· Not answered yet: replace the line that raises, then run both cells again."
        except Wrong as wrong:
            line = f"✗ {wrong}"
        except Exception as error:  # whatever the reader's code does, the notebook goes on
            reason = str(error).splitlines()[0] if str(error) else "no message"
            line = f"✗ Your answer stopped with {type(error).__name__}: {reason}"
        print(line)

    return check


def number(got: Any) -> float:
    """The answer as a float, or Wrong saying what came instead."""
    expect(got is not None, "nothing came back: does your function end in return?")
    if isinstance(got, Tensor):
        expect(got.numel() == 1, f"got a tensor of shape {tuple(got.shape)}, needs one number: is a mean missing?")
        return float(got.detach())
    plain = isinstance(got, (int, float)) and not isinstance(got, bool)
    expect(plain, f"got {type(got).__name__}, needs a number")
    return float(got)
