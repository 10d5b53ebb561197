"""Pictures of the results, as SVG written by hand: two kinds, and no library."""

from __future__ import annotations

import math
from html import escape

FONT = 'font-family="sans-serif" font-size="12"'
COLOURS = ("#2b7bba", "#d9822b")


def svg(width: int, height: int, parts: list[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}">\n<rect width="100%" height="100%" fill="white"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def bars(rows: list[tuple[str, float, float, float]]) -> str:
    """Draw a ratio and its quartiles for each name; 1 is as long as the base takes."""
    left, scale, step = 330, 240, 20
    height = step * len(rows) + 40
    parts = []
    for tick in (0, 0.25, 0.5, 0.75, 1.0, 1.25):
        x = left + scale * tick
        colour = "#444" if tick == 1 else "#ddd"
        parts.append(f'<line x1="{x}" x2="{x}" y1="10" y2="{height - 25}" stroke="{colour}"/>')
        parts.append(f'<text x="{x}" y="{height - 8}" text-anchor="middle" {FONT}>{tick:g}</text>')
    for number, (name, best, low, high) in enumerate(rows):
        y = 12 + step * number
        shown = min(best, 1.5)
        parts.append(
            f'<text x="{left - 8}" y="{y + 11}" text-anchor="end" {FONT}>{escape(name)}</text>'
        )
        size = f'width="{scale * shown:.1f}" height="13"'
        parts.append(f'<rect x="{left}" y="{y}" {size} fill="{COLOURS[best > 1.1]}"/>')
        a, b = (left + scale * min(value, 1.5) for value in (low, high))
        parts.append(f'<line x1="{a:.1f}" x2="{b:.1f}" y1="{y + 6}" y2="{y + 6}" stroke="black"/>')
        parts.append(f'<text x="{left + scale * 1.55:.0f}" y="{y + 11}" {FONT}>{best:.2f}</text>')
    return svg(left + int(scale * 1.75), height, parts)


def lines(series: dict[str, list[tuple[int, float]]], label: str) -> str:
    """Draw costs by number, both on a logarithmic scale."""
    left, top, width, height = 60, 30, 460, 220
    xs = [math.log10(x) for points in series.values() for x, _ in points]
    ys = [math.log10(y) for points in series.values() for _, y in points]
    low, high = math.floor(min(ys)), math.ceil(max(ys))

    def at(x: float, y: float) -> tuple[float, float]:
        return (
            left + width * (math.log10(x) - min(xs)) / (max(xs) - min(xs)),
            top + height * (high - math.log10(y)) / (high - low),
        )

    parts = [f'<text x="{left}" y="18" {FONT}>{escape(label)}</text>']
    for exponent in range(low, high + 1):
        _, y = at(1, 10**exponent)
        parts.append(f'<line x1="{left}" x2="{left + width}" y1="{y}" y2="{y}" stroke="#ddd"/>')
        parts.append(
            f'<text x="{left - 6}" y="{y + 4}" text-anchor="end" {FONT}>{10**exponent:g}</text>'
        )
    for exponent in range(int(min(xs)), int(max(xs)) + 1):
        x, _ = at(10**exponent, 10**low)
        parts.append(
            f'<text x="{x}" y="{top + height + 18}" text-anchor="middle" {FONT}>1e{exponent}</text>'
        )
    for (name, points), colour in zip(series.items(), COLOURS, strict=False):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in points))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        x, y = at(*points[-1])
        parts.append(
            f'<text x="{x + 6:.1f}" y="{y + 4:.1f}" fill="{colour}" {FONT}>{escape(name)}</text>'
        )
    return svg(left + width + 80, top + height + 30, parts)
