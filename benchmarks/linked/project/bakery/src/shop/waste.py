"""What is left in the evening, and what that costs."""

SHELF = {"roll": 0, "rye loaf": 3, "wheat loaf": 1, "plum cake": 2}
"""Days for which an article may be sold once more."""


def leftovers(baked, sold):
    """Return the pieces that stand on the shelf when the shop closes, by article; never below nothing."""
    return {article: max(0, count - sold.get(article, 0)) for article, count in baked.items()}


def thrown_away(left, age_days):
    """Return the pieces that may not be sold any more, by article: those older than their shelf life."""
    return {article: count for article, count in left.items() if age_days.get(article, 0) > SHELF.get(article, 0)}


def cost(pieces, price, share=0.42):
    """Return what flour, butter, gas and work came to for these pieces; wages are most of the share."""
    return {article: round(count * price[article] * share, 2) for article, count in pieces.items()}
