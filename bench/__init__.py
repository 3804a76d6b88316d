"""How fast the product is on this machine, each figure beside a floor: `python -m bench`."""
