"""Whether what comes out is what was printed, under the print's own rounding. Pure."""

from typing import Literal

Relation = Literal["equal", "above", "below", "at_least", "at_most"]
Span = tuple[float, float]
# Floats have their own dust: half a unit off is still half a unit.
_DUST = 1e-9


def agrees(result: Span, printed: Span, slack: float, relation: Relation = "equal") -> bool:
    """Whether ``found`` may be what is ``printed``, if that may be ``slack`` off.

    Both are (low, high): equal for one number, else a range, or what is known of a number that
    rests on rounded ones; they agree where they meet. The print's own rounding is a ``slack`` of
    half a unit of its last digit. ``relation`` is what was found, against the print; "above" and
    "below" leave the number itself out. All in one unit.
    """
    dust = _DUST * max(1.0, *map(abs, printed))
    slack += -dust if relation in ("above", "below") else dust
    under, over = result[0] <= printed[1] + slack, result[1] >= printed[0] - slack
    if relation == "equal":
        return under and over
    return over if relation in ("above", "at_least") else under
