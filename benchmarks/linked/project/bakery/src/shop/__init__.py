"""What the notebooks of the bakery share."""

from shop.orders import clean, forecast, read_orders
from shop.waste import leftovers, thrown_away

__all__ = ["clean", "forecast", "leftovers", "read_orders", "thrown_away"]
