# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:light
#     text_representation:
#       extension: .py
#       format_name: light
# ---

# # What may a roll cost?
# Three price rises, and what people bought afterwards.

# +
steps = [(0.45, 1310), (0.5, 1275), (0.55, 1190)]

rolls = [pieces for _, pieces in steps]
# -

# ## How people answered


# +
def elasticity(before, after):
    (p0, q0), (p1, q1) = before, after
    return ((q1 - q0) / ((q1 + q0) / 2)) / ((p1 - p0) / ((p1 + p0) / 2))


for before, after in zip(steps, steps[1:]):
    print(f"{before[0]:.2f} -> {after[0]:.2f}: {elasticity(before, after):.2f}")
# -

# The second step hurt more: the supermarket across the street had opened its bread counter that very week.

revenue = [round(price * pieces, 2) for price, pieces in steps]
print("takings:", revenue)
