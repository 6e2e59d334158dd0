"""The look of the report: that of the page of `check-data`, and charts, tiles, a matrix and pictures."""

from mrcnn_plus.lint.output.html import STYLE as HOUSE_STYLE

STYLE = (
    HOUSE_STYLE
    + """
:root { --good: #1f7a45; --c1: #2563c9; --c2: #d9622b; --c3: #2a9d5c; --c4: #b03fb5; --c5: #c3930b; --c6: #17a2b8;
  --c7: #e0457b; --c8: #7a6ff0; --cell: 37, 99, 201; --wrong: 198, 47, 47; }
@media (prefers-color-scheme: dark) { :root { --good: #6fd394; --c1: #6ea8ff; --c2: #ff9d66; --c3: #5fd491;
  --c4: #e089e5; --c5: #ecc94b; --c6: #5cd3e6; --c7: #ff8ab0; --c8: #aaa3ff; --cell: 110, 168, 255;
  --wrong: 255, 123, 114; } }
main { max-width: 66rem; }
html { scroll-behavior: smooth; }
nav { display: flex; flex-wrap: wrap; gap: .2rem 1rem; font-size: .9rem; margin: .75rem 0; }
nav a { color: var(--info); text-decoration: none; }
.headline { background: var(--card); border: 1px solid var(--line); border-left: 6px solid var(--good);
  border-radius: .5rem; padding: .9rem 1.1rem; margin: 1rem 0; }
.headline.error { border-left-color: var(--error); } .headline.warning { border-left-color: var(--warning); }
.headline.unknown { border-left-color: var(--dim); }
.headline p:first-child { font-size: 1.15rem; font-weight: 600; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(7.4rem, 1fr)); gap: .6rem; margin: 1rem 0; }
.tiles div { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .5rem .8rem; }
.tiles b { display: block; font-size: 1.25rem; overflow-wrap: anywhere; }
.tiles span { color: var(--dim); font-size: .85rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(26rem, 100%), 1fr)); gap: .75rem; }
figure { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .7rem .8rem;
  min-width: 0; }
figure svg { display: block; width: 100%; height: auto; }
.charts figure { max-width: 42rem; display: flex; flex-direction: column; } .charts svg { margin-top: auto; }
.legend { display: flex; flex-wrap: wrap; gap: .1rem .9rem; font-size: .85rem; }
.legend i { display: inline-block; width: 1.3rem; border-top: 3px solid; margin-right: .3rem; vertical-align: middle; }
.legend i.dashed { border-top-style: dashed; }
svg text { fill: var(--dim); font-size: 13px; font-family: inherit; }
svg .stage { font-size: 12px; font-weight: 600; }
svg .grid { stroke: var(--line); stroke-width: 1; } svg .axis { stroke: var(--dim); stroke-width: 1; }
svg .border { stroke: var(--dim); stroke-width: 1.2; stroke-dasharray: 5 4; }
svg .line { fill: none; stroke-width: 2; stroke-linejoin: round; } svg .line.faint { stroke-width: 1.2; opacity: .3; }
svg .line.dashed:not(.faint) { stroke-dasharray: 6 4; }
svg .band { fill: transparent; } svg .band:hover { fill: var(--dim); fill-opacity: .18; }
"""
    + "".join(
        f".legend .c{n} {{ border-color: var(--c{n}); }} svg .line.c{n} {{ stroke: var(--c{n}); }} "
        f"svg .dot.c{n} {{ fill: var(--c{n}); }}\n"
        for n in range(1, 9)
    )
    + """
.scroll { overflow-x: auto; margin: .5rem 0 1rem; border: 1px solid var(--line); border-radius: .4rem; }
.scroll table { font-size: .9rem; } .scroll th { white-space: nowrap; } .scroll tr:last-child td { border-bottom: 0; }
.scroll td { overflow-wrap: normal; }
.scroll td:first-child, .scroll th:first-child { position: sticky; left: 0; background: var(--card); max-width: 11rem;
  min-width: 7.5rem; overflow-wrap: break-word; }
.matrix td, .matrix th { text-align: center; min-width: 2.6rem; padding: .3rem .4rem; }
.matrix th:first-child, .matrix tr td:first-child { text-align: left; }
.matrix .turned { writing-mode: vertical-rl; transform: rotate(180deg); text-align: left; }
.matrix th { vertical-align: bottom; }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(18rem, 100%), 1fr)); gap: .75rem;
  align-items: start; }
.pictures figure { padding: .4rem; } .pictures img { width: 100%; display: block; border-radius: .3rem; }
.pictures figcaption { font-size: .85rem; padding: .3rem .2rem 0; overflow-wrap: anywhere; }
.value { font-family: ui-monospace, Menlo, Consolas, monospace; font-size: .88rem; overflow-wrap: anywhere; }
pre { font-size: .85rem; overflow-x: auto; background: var(--card); border: 1px solid var(--line); padding: .6rem; }
article ul, article ol { margin: .25rem 0; padding-left: 1.3rem; }
@media print { body { background: #fff; } nav { display: none; } figure, article { break-inside: avoid; } }
"""
)
