"""Groundwater levels of the Tarnholm well field: from logger exports to checked daily heads.

The order of the work is the order of the modules: `sites` → `readings` → `barometer` → `checks` →
`drift` → `levels` → `store`, run together by `pipeline`. `alarms` reads what `store` keeps.
Only the standard library is needed; the notebooks use pandas, matplotlib and scikit-learn.
"""
