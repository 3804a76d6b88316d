"""Scrap for raw material: deals with recyclers and what is open of them (废料换原材料)."""
