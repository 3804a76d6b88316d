"""`python -m jobs` is the command `leasing`."""

from jobs.cli import main

main(prog_name="leasing")
