"""Supply and demand (供需对接): packs in stock and expected back, matched to what sites need.

Bins, needs, columns, prices and plans are pure functions of arrays; proposals and what becomes of
them are rows.
"""
