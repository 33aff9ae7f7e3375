"""A slow, plain reference of the metric definitions, independent of the project's SQL.

`model` holds the inputs, `compute` the definitions read out loud as loops, `strategies` random
shops, `exports` the same shops as export files, `compare` the published tables against both.
"""
