"""How good a model is, how sure that is, and what is reached without one.

Pure functions of arrays: `reports` makes a task's part of the report, `scoring` finds what predictions are made with on the validation rows,
`baselines` says what small models reach.
"""
