"""Amounts in Chinese capital numerals (人民币大写), as they are written on bills.

The rules are those of the People's Bank for the writing of bills (支付结算办法, annex 1): zeros
between figures are said once, 整 ends an amount without fen.
"""

FIGURES = "零壹贰叁肆伍陆柒捌玖"
PLACES = ("仟", "佰", "拾", "")


def capital(fen: int) -> str:
    """An amount of renminbi in capital numerals.

    >>> capital(123456), capital(600714), capital(10_000_000_00)
    ('壹仟贰佰叁拾肆圆伍角陆分', '陆仟零柒圆壹角肆分', '壹仟万圆整')
    >>> capital(-150), capital(5), capital(0)
    ('负壹圆伍角整', '伍分', '零圆整')
    """
    sign = "负" if fen < 0 else ""
    yuan, rest = divmod(abs(fen), 100)
    jiao, fen = divmod(rest, 10)
    whole = f"{whole_number(yuan)}圆" if yuan or not rest else ""
    if not rest:
        return f"{sign}{whole}整"
    tenths = f"{FIGURES[jiao]}角" if jiao else ("零" if yuan else "")
    return f"{sign}{whole}{tenths}" + (f"{FIGURES[fen]}分" if fen else "整")


def whole_number(number: int) -> str:
    """
    >>> whole_number(107_000), whole_number(1_0000_0001), whole_number(2_0030_0000_0000)
    ('壹拾万柒仟', '壹亿零壹', '贰万零叁拾亿')
    """
    if number < 10_000:
        return below_ten_thousand(number)
    size, unit = (100_000_000, "亿") if number >= 100_000_000 else (10_000, "万")
    high, low = divmod(number, size)
    zero = "零" if 0 < low < size // 10 else ""
    return whole_number(high) + unit + zero + (whole_number(low) if low else "")


def below_ten_thousand(number: int) -> str:
    said = ""
    for figure, place in zip(f"{number:04}", PLACES, strict=True):
        if figure != "0":
            said += FIGURES[int(figure)] + place
        elif said and not said.endswith("零"):
            said += "零"
    return said.rstrip("零") or "零"
