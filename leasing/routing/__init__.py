"""Where returned packs go: certified plans for all of them at once, and exact answers for one.

Pure functions of arrays; no table, no web. Values are whole 0.0001 CNY/kg and masses whole kg, so
that a bound and a plan can be compared to the last digit. How it works: docs/routing.md.
"""
