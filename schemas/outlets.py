"""Collection outlets (回收服务网点)."""

from enum import StrEnum
from uuid import UUID

from schemas.common import Outgoing


class OutletKind(StrEnum):
    COLLECTING = "collecting"
    """收集型: stores 5 t at most."""
    CONCENTRATED = "concentrated"
    """集中贮存型: can store 30 t."""


class Hazard(StrEnum):
    """How a pack travels. What is not known to be intact counts as worse."""

    INTACT = "intact"
    DAMAGED = "damaged"
    CRITICAL = "critical"
    """Liable to react dangerously (ADR SP 376: P911/LP906)."""


class OutletView(Outgoing, frozen=True):
    id: UUID
    code: str
    name_zh: str
    name_en: str
    kind: OutletKind
    adcode: str
    longitude: float
    latitude: float
    recycler_id: UUID
    chemistries: list[str]
    hazards: list[str]
    store_limit_kg: int
    stock_kg: int
    reserved_kg: int
    generated: bool


class CoverageView(Outgoing, frozen=True):
    """How far the network reaches, and how much of it is generated rather than real."""

    outlets: int
    collecting: int
    concentrated: int
    prefectures: int
    provinces: int
    recyclers: int
    generated: int
    store_limit_kg: int
    stock_kg: int
    reserved_kg: int
