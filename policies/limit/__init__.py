"""In-flight limits, one per endpoint: adaptive, or fixed by someone who knows."""

from policies.limit.adaptive import AdaptiveLimit
from policies.limit.fixed import FixedLimit
from policies.limit.protocol import Limit

__all__ = ["AdaptiveLimit", "FixedLimit", "Limit"]
