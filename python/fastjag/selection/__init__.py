"""Which events count: good luminosity sections, and selections that read no more than they need.

``lumi``: ``LumiMask``; ``flags``: branches that say yes or no; ``bubbling``: selections in steps;
``order``: of the steps; ``columns``: single entries out of baskets.
"""

from fastjag.selection.bubbling import Cut, Selected, Step, Survivors, survivors
from fastjag.selection.columns import Counters
from fastjag.selection.flags import as_flags, event_flags
from fastjag.selection.lumi import LumiMask
from fastjag.selection.order import cheapest_first

__all__ = [
    "Counters",
    "Cut",
    "LumiMask",
    "Selected",
    "Step",
    "Survivors",
    "as_flags",
    "cheapest_first",
    "event_flags",
    "survivors",
]
