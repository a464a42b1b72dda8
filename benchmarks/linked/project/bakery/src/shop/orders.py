"""Orders: what the tills wrote down, and what that says about tomorrow."""

from collections import defaultdict


def read_orders(lines):
    """Return (day, article, pieces) of the till's lines; a cancelled one has a minus before its number."""
    orders = []
    for line in lines:
        day, article, pieces = line.split(",")
        orders.append((day.strip(), article.strip().lower(), int(pieces)))
    return orders


def clean(orders):
    """Set cancelled orders off against the order that they cancel, and take test articles of the till out."""
    sums = defaultdict(int)
    for day, article, pieces in orders:
        if not article.startswith("zz"):
            sums[day, article] += pieces
    return [(day, article, pieces) for (day, article), pieces in sums.items() if pieces > 0]


def forecast(history, weekday, weight=0.3):
    """Return the pieces to expect: exponential smoothing over the same weekdays, the latest counting most."""
    expected = None
    for day, pieces in history:
        if day == weekday:
            expected = pieces if expected is None else weight * pieces + (1 - weight) * expected
    return expected


def fill_gaps(history, closed):
    """Give a day on which the shop was closed the mean of the days around it, so that smoothing is not led astray."""
    filled = dict(history)
    for day in closed:
        beside = [filled[other] for other in (day - 1, day + 1) if other in filled]
        filled[day] = sum(beside) / len(beside) if beside else 0
    return sorted(filled.items())
