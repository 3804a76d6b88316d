"""Measure it all and say whether the bounds of docs/benchmarks.md hold.

python -m bench
python -m bench --quick
python -m bench --only ingest --packs 10000
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import uvloop
from rich.console import Console
from rich.table import Table

from bench import (
    billing,
    decoders,
    documents,
    gateways,
    health,
    ingest,
    market,
    obligations,
    one_row,
    packs,
    rating,
    rollout,
    routes,
    routing,
    trace,
)
from bench.place import Place, place
from bench.result import Result
from leasing.kit import logs

PARTS = (
    "billing",
    "rating",
    "ingest",
    "get",
    "packs",
    "rollout",
    "documents",
    "decoders",
    "routing",
    "routes",
    "market",
    "health",
    "gateways",
    "trace",
    "obligations",
)


@dataclass(frozen=True)
class Sizes:
    lines: tuple[int, ...]
    history_months: int
    billing_runs: int
    rated_lines: int
    rating_turns: int
    packs: int
    batches: int
    batch_size: int
    ingest_connections: int
    ingest_runs: int
    connections: int
    seconds: float
    rounds: int
    stock: int
    plans: Path | None
    positions: int
    rollout_runs: int
    document_runs: int
    routed: tuple[int, ...]
    fill: float | None
    waiting: int
    markets: tuple[tuple[int, int], ...]
    market_seconds: float
    health_packs: int
    health_runs: int
    messages: int
    gateway_runs: int
    traced_packs: int
    traced_records: int
    trace_runs: int
    obligations: int


def timed() -> Callable[[str], None]:
    start = time.monotonic()

    def say(line: str) -> None:
        click.echo(f"{time.monotonic() - start:6.1f} s  {line}", err=True)

    return say


async def measure(parts: tuple[str, ...], sizes: Sizes) -> list[Result]:
    say = timed()
    results: list[Result] = []
    if "decoders" in parts:
        decoders.measure(say)
    if "routing" in parts:
        routing.measure(say, sizes.routed, sizes.fill)
    if "market" in parts:
        market.measure(say, sizes.markets, sizes.market_seconds)
    if set(parts) <= {"decoders", "routing", "market"}:
        return results
    with place(say) as here:
        if "billing" in parts:
            results += await measure_billing(here, sizes, say)
        if "rating" in parts:
            results += await rating.measure(here, sizes.rated_lines, sizes.rating_turns, say)
        if "ingest" in parts:
            results += await measure_ingest(here, sizes, say)
        if "get" in parts:
            results += await one_row.measure(
                here, sizes.connections, sizes.seconds, sizes.rounds, say
            )
        if "packs" in parts:
            results += await packs.measure(here, sizes.stock, sizes.plans, say)
        if "rollout" in parts:
            results += await rollout.measure(here, sizes.positions, sizes.rollout_runs, say)
        if "trace" in parts:
            results += await trace.measure(
                here, sizes.traced_packs, sizes.traced_records, sizes.trace_runs, say
            )
        if "gateways" in parts:
            await gateways.measure(here, sizes.messages, sizes.gateway_runs, say)
        if "routes" in parts:
            await routes.measure(here, sizes.waiting, say)
        if "obligations" in parts:
            results += await obligations.measure(here, sizes.obligations, say)
        if "documents" in parts:
            results += await documents.measure(sizes.document_runs, say)
        if "health" in parts:
            results += await health.measure(here, sizes.health_packs, sizes.health_runs, say)
    return results


async def measure_billing(here: Place, sizes: Sizes, say: Callable[[str], None]) -> list[Result]:
    return await billing.measure(
        here,
        sorted(sizes.lines),
        sizes.history_months,
        sizes.billing_runs,
        say,
    )


async def measure_ingest(here: Place, sizes: Sizes, say: Callable[[str], None]) -> list[Result]:
    return await ingest.measure(
        here,
        sizes.packs,
        sizes.batches,
        sizes.batch_size,
        sizes.ingest_connections,
        sizes.ingest_runs,
        say,
    )


def table(results: list[Result]) -> Table:
    shown = Table("", "value", "floor", "", "ratio", "bound", "")
    for column in (1, 2, 4, 5):
        shown.columns[column].justify = "right"
    for one in results:
        shown.add_row(
            one.what,
            f"{one.value:,.0f}",
            f"{one.floor:,.0f}",
            one.unit,
            f"{one.ratio:.2f}",
            one.bound,
            "[green]ok[/]" if one.holds else "[red]broken[/]",
        )
    return shown


@click.command()
@click.option("--quick", is_flag=True, help="Smaller sizes, fewer turns: a rough idea.")
@click.option("--only", "parts", multiple=True, type=click.Choice(PARTS), help="Part to measure.")
@click.option("--lines", multiple=True, type=click.IntRange(100), help="Lease lines to bill.")
@click.option("--history-months", default=1, show_default=True, help="Months billed before.")
@click.option("--billing-runs", type=click.IntRange(1), help="How often; 3.")
@click.option(
    "--packs", "packs_sending", default=1_000, show_default=True, help="Packs that send readings."
)
@click.option("--batches", type=click.IntRange(2), help="Batches of readings; 20.")
@click.option("--batch-size", default=10_000, show_default=True, type=click.IntRange(1, 10_000))
@click.option("--ingest-connections", default=2, show_default=True, type=click.IntRange(1))
@click.option("--ingest-runs", type=click.IntRange(1), help="How often; 7.")
@click.option("--connections", default=16, show_default=True, help="Connections that GET.")
@click.option("--seconds", type=float, help="Of one round of GETs; 1.5.")
@click.option("--rounds", type=click.IntRange(1), help="Rounds of GETs; 9.")
@click.option("--stock", type=click.IntRange(10_000), help="Packs to list and search; 1000000.")
@click.option("--positions", type=click.IntRange(100), help="Of a roll-out; 20000.")
@click.option("--rollout-runs", type=click.IntRange(1), help="How often; 5.")
@click.option("--routed", multiple=True, type=click.IntRange(100), help="Packs to route.")
@click.option("--fill", type=click.FloatRange(0.001, 1.0), help="Share of outlets' room to fill.")
@click.option("--needs", multiple=True, type=click.IntRange(50), help="To match; packs are 5 each.")
@click.option("--market-seconds", default=180.0, show_default=True, help="For a plan.")
@click.option("--health-packs", type=click.IntRange(100), help="Packs checked in a night; 2000.")
@click.option("--traced-packs", type=click.IntRange(100), help="That get records; 20000.")
@click.option("--traced-records", type=click.IntRange(1), help="Of each of these packs; 10.")
@click.option("--obligations", "obligations_count", type=click.IntRange(1_000), help="5000000.")
@click.option("--plans", type=click.Path(path_type=Path), help="File for the plans of packs.")
def main(
    quick: bool,
    parts: tuple[str, ...],
    lines: tuple[int, ...],
    history_months: int,
    billing_runs: int | None,
    packs_sending: int,
    batches: int | None,
    batch_size: int,
    ingest_connections: int,
    ingest_runs: int | None,
    connections: int,
    seconds: float | None,
    rounds: int | None,
    stock: int | None,
    positions: int | None,
    rollout_runs: int | None,
    routed: tuple[int, ...],
    fill: float | None,
    needs: tuple[int, ...],
    market_seconds: float,
    health_packs: int | None,
    traced_packs: int | None,
    traced_records: int | None,
    obligations_count: int | None,
    plans: Path | None,
) -> None:
    """Measure the product beside its floors. Ends with 1 when a bound is broken."""
    logs.configure("warning")
    sizes = Sizes(
        lines=lines or ((10_000, 30_000) if quick else (10_000, 200_000)),
        history_months=history_months,
        billing_runs=billing_runs or (2 if quick else 3),
        rated_lines=10_000 if quick else 20_000,
        rating_turns=2 if quick else 5,
        packs=packs_sending,
        batches=batches or (10 if quick else 20),
        batch_size=batch_size,
        ingest_connections=ingest_connections,
        ingest_runs=ingest_runs or (3 if quick else 7),
        connections=connections,
        seconds=seconds or (1.0 if quick else 1.5),
        rounds=rounds or (3 if quick else 9),
        stock=stock or (100_000 if quick else 1_000_000),
        plans=plans,
        positions=positions or (5_000 if quick else 20_000),
        rollout_runs=rollout_runs or (2 if quick else 5),
        document_runs=2 if quick else 6,
        routed=routed or ((1_000, 10_000) if quick else (1_000, 10_000, 30_000)),
        fill=fill,
        waiting=900 if quick else 3_000,
        markets=tuple((one, 5 * one) for one in needs or ((1_000,) if quick else (1_000, 10_000))),
        market_seconds=market_seconds,
        health_packs=health_packs or (500 if quick else 2_000),
        health_runs=2 if quick else 3,
        messages=5_000 if quick else 20_000,
        gateway_runs=2 if quick else 5,
        traced_packs=traced_packs or (2_000 if quick else 20_000),
        traced_records=traced_records or (5 if quick else 10),
        trace_runs=2 if quick else 5,
        obligations=obligations_count or (500_000 if quick else 5_000_000),
    )
    results = uvloop.run(measure(parts or PARTS, sizes))
    if results:
        Console().print(table(results))
    if not all(one.holds for one in results):
        click.echo("a bound of docs/benchmarks.md is broken", err=True)
        sys.exit(1)


main()
