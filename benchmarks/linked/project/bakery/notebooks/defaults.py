"""Run at the head of each of the notebooks beside it."""

CURRENCY = "EUR"
OPEN_DAYS = ("Tue", "Wed", "Thu", "Fri", "Sat")
PRICES = {"roll": 0.55, "rye loaf": 4.2, "wheat loaf": 3.6, "plum cake": 2.9}


def money(amount):
    """Write an amount as the tax office wants it, rounded half up to whole cents."""
    cents = int(amount * 100 + 0.5)
    return f"{cents // 100}.{cents % 100:02d} {CURRENCY}"


def by_weekday(orders):
    """Sum up pieces by day of the week, in the order in which the shop is open."""
    return {day: sum(pieces for when, _, pieces in orders if when == day) for day in OPEN_DAYS}
