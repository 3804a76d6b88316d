"""Estimators of battery health: pure functions on numpy arrays, without files, database or clock.

    conformal    intervals that hold on units nobody has seen
    kalman       following a capacity over time
    library      matching a piece of a charge with stored charges
    pulse        state of health of a second-life cell from 5 s pulses
    charge       capacity of a large LFP cell from pieces of charges
    discharge    capacity of a small cell from the middle of a discharge
    fade         cycles left
    early_life   life from the first hundred cycles
    standby      self-discharge at rest
    resistance   resistance from steps of the load
    depth        what a partial check discharge can tell

What coulomb counting tells of one session is in `leasing.health.rules`. Methods and equations are
those of docs/health.md.
"""
