"""Gateways: readings that come in by other ways than HTTP."""

import asyncio
import signal
from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jobs.shell import database, run, say

if TYPE_CHECKING:
    from leasing.gateways.mqtt import Broker


@click.group("gateway")
def gateway_group() -> None:
    """Take readings in over TCP or MQTT until stopped. What is acknowledged is committed."""


@gateway_group.command("gbt32960")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=32960, show_default=True, type=click.IntRange(0, 65535))
@click.option(
    "--platforms",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help='JSON file of platforms that may log in: {"name": "password"}.',
)
@click.option("--connections", default=10_000, show_default=True, type=click.IntRange(1))
def serve_gbt32960(host: str, port: int, platforms: Path | None, connections: int) -> None:
    """Vehicles and platforms by GB/T 32960.3, editions 2016 and 2025."""
    run(_serve_gbt32960(host, port, read_platforms(platforms), connections))


def read_platforms(path: Path | None) -> Mapping[str, str]:
    import msgspec

    if path is None:
        return {}
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except msgspec.MsgspecError as error:
        raise click.ClickException(f"{path}: {error}") from error


async def _serve_gbt32960(
    host: str, port: int, platforms: Mapping[str, str], connections: int
) -> None:
    from leasing.gateways import gbt32960, service
    from leasing.gateways.intake import Intake
    from leasing.kit.time import system_now

    async with AsyncExitStack() as stack:
        db = await stack.enter_async_context(database())
        intake = await stack.enter_async_context(Intake(service.commit_to(db)))
        gateway = gbt32960.Gateway(
            intake,
            knows_vehicle=partial(service.knows_vehicle, db),
            now=system_now,
            platforms=platforms,
            limits=gbt32960.Limits(connections=connections),
            compare_packs=partial(service.compare_packs, db),
        )
        server = await asyncio.start_server(gateway.serve, host, port, backlog=1024)
        stack.callback(server.close)
        address = server.sockets[0].getsockname()
        say(f"GB/T 32960.3 on {address[0]}:{address[1]}")
        await stopped()


@gateway_group.command("mqtt")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where the broker is.")
@click.option("--port", default=1883, show_default=True, type=click.IntRange(1, 65535))
@click.option("--username", envvar="LEASING_MQTT_USERNAME")
@click.option("--password", envvar="LEASING_MQTT_PASSWORD")
@click.option("--tls", is_flag=True)
@click.option("--identifier", default="leasing-gateway", show_default=True, help="One a process.")
@click.option(
    "--layout",
    type=click.Choice(["json", "sparkplug"]),
    default="json",
    show_default=True,
    help="JSON on topics leasing/v1/…, or Sparkplug B.",
)
@click.option("--share", metavar="GROUP", help="Share the load with gateways of the same group.")
def take_mqtt(
    host: str,
    port: int,
    username: str | None,
    password: str | None,
    tls: bool,
    identifier: str,
    layout: str,
    share: str | None,
) -> None:
    """What tower sites and vehicles publish to an MQTT 5 broker."""
    from leasing.gateways.mqtt import Broker

    if layout == "sparkplug" and share:
        raise click.UsageError(
            "--share: Sparkplug counts a node's messages, so one gateway must see all of them"
        )
    broker = Broker(host, port, username, password, tls, identifier)
    run(_take_mqtt(broker, layout, share))


async def _take_mqtt(broker: "Broker", layout: str, share: str | None) -> None:
    from leasing.gateways import mqtt, service, spb, topics
    from leasing.gateways.intake import Intake
    from leasing.kit.time import system_now

    names, decode = (
        (topics.TOPICS, topics.decode) if layout == "json" else (spb.TOPICS, spb.Decoder())
    )
    prefix = f"$share/{share}/" if share else ""
    async with database() as db, Intake(service.commit_to(db)) as intake:
        gateway = mqtt.Gateway(
            intake,
            broker,
            [prefix + name for name in names],
            decode,
            now=system_now,
            ready=partial(_said_ready, broker.host, broker.port),
        )
        taking, asked = asyncio.create_task(gateway.run()), asyncio.create_task(stopped())
        await asyncio.wait([taking, asked], return_when=asyncio.FIRST_COMPLETED)
        if taking.done():
            await taking  # it ends by itself only when something is wrong
        taking.cancel()
        await asyncio.gather(taking, return_exceptions=True)


async def _said_ready(host: str, port: int) -> None:
    say(f"taking readings from MQTT at {host}:{port}")


async def stopped() -> None:
    """Return when the process is asked to end."""
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for one in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(one, asked.set)
    await asked.wait()
