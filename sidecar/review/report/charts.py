"""Bar charts as inline SVG, without text of others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 720, 160, 56, 24
_STEPS = (1, 2, 5)


def bars(title: str, series: Sequence[tuple[str, str, Sequence[int]]]) -> Iterator[str]:
    """Bars per hour, side by side. Each series: its name, its class in the style sheet, 24 numbers."""
    top = _nice(max((max(numbers) for _, _, numbers in series), default=0))
    slot = (_WIDTH - _LEFT) / 24
    width = slot * 0.8 / max(1, len(series))
    yield (
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{title}" '
        f'xmlns="http://www.w3.org/2000/svg">\n<title>{title}</title>\n'
    )
    floor = _HEIGHT - _BOTTOM
    for share in (0, 0.5, 1):
        y = floor - share * (floor - 12)
        yield f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>'
        place = f'x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end"'
        yield f'<text class="tick" {place}>{top * share:,.0f}</text>\n'
    for number, (name, kind, numbers) in enumerate(series):
        for hour, value in enumerate(numbers):
            height = (floor - 12) * value / top if top else 0
            x = _LEFT + hour * slot + slot * 0.1 + number * width
            if height:
                yield (
                    f'<rect class="{kind}" x="{x:.1f}" y="{floor - height:.1f}" width="{width:.1f}" '
                    f'height="{height:.1f}"><title>{hour:02}:00 {name} {value:,}</title></rect>'
                )
    for hour in range(0, 24, 3):
        x = _LEFT + hour * slot + slot / 2
        yield f'<text class="tick" x="{x:.1f}" y="{_HEIGHT - 6}" text-anchor="middle">{hour:02}</text>'
    yield "\n</svg>\n"


def _nice(value: int) -> int:
    """The next round number."""
    scale = 1
    while value > 10 * scale:
        scale *= 10
    return next((step * scale for step in (*_STEPS, 10) if step * scale >= value), 10 * scale)
