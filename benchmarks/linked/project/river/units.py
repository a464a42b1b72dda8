"""From the height of the water to how much of it flows: the curves that the survey of 2019 drew."""

CURVES = {
    "Altmark": (0.9, 31.0, 1.62),
    "Brede": (1.1, 24.5, 1.71),
    "Cassow": (0.4, 40.2, 1.55),
}
"""By gauge: the level of no flow in metres, the factor, the exponent."""


def to_discharge(gauge, level_cm):
    """Return cubic metres a second by the power law; nothing flows below the level of no flow."""
    zero, factor, exponent = CURVES[gauge]
    depth = max(0.0, level_cm / 100 - zero)
    return factor * depth**exponent


def warning_stage(gauge, level_cm):
    """Return 0 to 3: how many of the thresholds that the county has set are passed."""
    thresholds = {"Altmark": (320, 410, 480), "Brede": (280, 350, 430), "Cassow": (250, 330, 390)}
    return sum(level_cm >= height for height in thresholds[gauge])
