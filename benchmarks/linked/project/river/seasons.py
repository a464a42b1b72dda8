# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # The river through the year
# Monthly means of ten years, in centimetres.

# %%
means = [212, 236, 241, 220, 184, 151, 128, 117, 121, 139, 168, 197]

# %% [markdown]
# ## When is it lowest?

# %%
names = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
driest = min(zip(means, names, strict=True))
print("driest month:", *reversed(driest), "cm")

# %% [markdown]
# The weir at Brede takes forty centimetres off in August for the mill's turbine, so the natural low is a month later.


# %%
def above_mean(values):
    middle = sum(values) / len(values)
    return [round(value - middle) for value in values]


print("deviations:", above_mean(means))

# %%
half = sum(means) / 2
total = 0
for month, value in zip(names, means, strict=True):
    total += value
    if total >= half:
        print("half of the year's water has passed by", month)
        break
