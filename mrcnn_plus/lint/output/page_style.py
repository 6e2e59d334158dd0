"""The look of the HTML page: narrow enough for a phone, dark where the reader prefers it."""

STYLE = """
:root { --text: #1d2329; --dim: #68727d; --back: #f5f6f8; --card: #ffffff; --line: #dfe3e8; --bar: #5b8def;
  --error: #c62f2f; --warning: #b26a00; --info: #2563ae; --fix: #1f7a45; }
@media (prefers-color-scheme: dark) { :root { --text: #e4e8ec; --dim: #9aa5b1; --back: #14181d; --card: #1d232a;
  --line: #323b45; --bar: #4a78d0; --error: #ff7b72; --warning: #e3a13c; --info: #79b4ff; --fix: #6fd394; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--text);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.4rem; margin: .5rem 0 0; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 0 0 .5rem; }
h3 { font-size: 1rem; margin: 0 0 .25rem; }
p { margin: .25rem 0; overflow-wrap: anywhere; }
section { margin: 1.5rem 0; }
.dim, .path { color: var(--dim); font-size: .9rem; }
.path { font-family: ui-monospace, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
.counts { display: flex; flex-wrap: wrap; gap: .5rem; margin: 1rem 0; }
.count { padding: .4rem .8rem; border-radius: .5rem; background: var(--card); border: 1px solid var(--line);
  color: inherit; text-decoration: none; }
.count b { font-size: 1.3rem; }
.count.error { border-color: var(--error); color: var(--error); }
.count.warning { border-color: var(--warning); color: var(--warning); }
.count.info { border-color: var(--info); color: var(--info); }
.count.none { color: var(--dim); }
article { background: var(--card); border: 1px solid var(--line); border-left: 4px solid var(--info);
  border-radius: .4rem; padding: .75rem 1rem; margin: .75rem 0; }
article.error { border-left-color: var(--error); }
article.warning { border-left-color: var(--warning); }
.code { font-family: ui-monospace, Menlo, Consolas, monospace; color: var(--dim); }
.fix { color: var(--fix); }
details { margin: .4rem 0; }
summary { cursor: pointer; color: var(--dim); padding: .2rem 0; }
.places { margin: .25rem 0; padding-left: 1.2rem; font-size: .9rem; overflow-wrap: anywhere; max-height: 24rem;
  overflow-y: auto; }
table { border-collapse: collapse; width: 100%; background: var(--card); }
th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top;
  overflow-wrap: anywhere; }
th { font-weight: 600; }
.facts { margin: .5rem 0 1rem; }
.facts th { width: 11rem; }
.classes td:first-child { min-width: 6rem; }
.number { text-align: right; white-space: nowrap; }
.bars { width: 40%; vertical-align: middle; }
.bar { display: block; height: .7rem; min-width: 1px; background: var(--bar); border-radius: .2rem; }
.wide { overflow-x: auto; }
.plain { font-size: .9rem; min-width: 32rem; }
@media (max-width: 34rem) { .facts th { width: 8rem; } .bars { width: 25%; } th, td { padding: .3rem .4rem; } }
"""
