"""`leasing demo`: a lessor with two customers, played over 24 months on the sandbox clock.

Everything is done by the services and jobs that a deployment uses, in the order in which it
would happen; what the demo adds is people who decide, and packs that age. The same scale and
seed give the same story: the same packs, verdicts, invoices and routings.

    model      how large it is, which packs there are
    battery    how a pack ages, and what it reports (assumptions are named there)
    stage      the schema it is played in: found, begun, completed, dropped
    cast       network, customers, sites, packs, contracts
    story      the months, day by day
    summary    what came out, as a table
    keys       API keys to look around with
    play       all of it, from a DSN on
"""
