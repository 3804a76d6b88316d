"""Lots of packs on the road to an outlet, and who carries them (托运批次)."""
