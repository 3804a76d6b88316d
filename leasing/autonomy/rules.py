"""From energies to hours, and to words.

    hours = energy above the depth / load

The lower end takes the least each pack may hold at the least state of charge it may be in, the
upper end the most: no pack is taken to make up for another. A lower end is rounded down and an
upper end up, to tenths of an hour.
"""

from math import ceil, floor

from leasing.autonomy.model import PackFact, SiteFact
from schemas.autonomy import Enough, LoadSource, PackAutonomyView, SiteAutonomyView


def view(site: SiteFact) -> SiteAutonomyView:
    drawn = site.drawn_w is not None
    load_w = site.stated_w if site.drawn_w is None else round(site.drawn_w)
    lower = middle = upper = None
    if load_w:
        lower = floor(site.lower_wh / load_w * 10) / 10
        middle = round(site.wh / load_w, 1)
        upper = ceil(site.upper_wh / load_w * 10) / 10
    required = None if site.required_minutes is None else site.required_minutes / 60
    return SiteAutonomyView(
        site_id=site.site_id,
        code=site.code,
        name=site.name,
        site_class=site.site_class,
        adcode=site.adcode,
        party_id=site.party_id,
        packs=site.packs,
        silent_packs=site.silent_packs,
        discharging=site.discharging,
        load_w=load_w,
        load_source=None if not load_w else LoadSource.DRAWN if drawn else LoadSource.STATED,
        lower_hours=lower,
        hours=middle,
        upper_hours=upper,
        required_hours=None if required is None else round(required, 2),
        enough=enough(lower, upper, required),
    )


def enough(lower: float | None, upper: float | None, required: float | None) -> Enough | None:
    """Whether a site lasts as long as it must. None when that, or the load, is not known."""
    if lower is None or upper is None or required is None:
        return None
    if lower >= required:
        return Enough.YES
    return Enough.NO if upper < required else Enough.UNSURE


def view_of_pack(pack: PackFact) -> PackAutonomyView:
    return PackAutonomyView(
        pack_id=pack.pack_id,
        line_id=pack.line_id,
        capacity_source=pack.capacity_source,
        capacity_as_of=pack.capacity_as_of,
        lower_mah=pack.lower_mah,
        capacity_mah=pack.capacity_mah,
        upper_mah=pack.upper_mah,
        soc_percent=pack.soc_percent,
        soc_margin_points=round(pack.soc_margin_points, 1),
        latest_at=pack.latest_at,
        is_silent=pack.is_silent,
        lower_wh=floor(pack.lower_wh),
        wh=round(pack.wh),
        upper_wh=ceil(pack.upper_wh),
    )


def sentences(site: SiteAutonomyView) -> tuple[str, str]:
    """The answer in English and in Chinese."""
    if site.load_w is None:
        return (
            "How long the site lasts is not known: enter its mean load (load_w).",
            "无法判断可支撑多久：请录入站点平均负载（load_w）。",
        )
    drawn = site.load_source is LoadSource.DRAWN
    english = (
        f"At {site.load_w} W {'drawn now' if drawn else 'as entered'} the packs last {site.hours} h"
        f" ({site.lower_hours} to {site.upper_hours} h)."
    )
    chinese = (
        f"按{'当前' if drawn else '录入的'}负载 {site.load_w} W，电池可支撑 {site.hours} 小时"
        f"（{site.lower_hours} 至 {site.upper_hours} 小时）。"
    )
    if site.silent_packs:
        english += f" {site.silent_packs} of {site.packs} packs are silent."
        chinese += f" {site.packs} 组中有 {site.silent_packs} 组无数据。"
    return english, chinese
