"""The style that all pages share: colours by day and night, text, cards, tables.

A module and no file beside it: a Flower app's bundle carries Python only, and a run's report
is written where the app runs.
"""

from __future__ import annotations

__all__ = ["BASE"]

BASE = """\
:root{color-scheme:light dark;--page:#faf8f4;--card:#fff;--ink:#1b1f24;--soft:#5b6470;--line:#e2ded5;--accent:#0b5cab;--wash:#eaf2fb;--harm:#b04a00;--help:#1f5fa8;--on-strong:#fff;--shade:0 1px 2px #0001,0 6px 20px #0000000a}
@media (prefers-color-scheme:dark){:root{--page:#12161b;--card:#1a2027;--ink:#e9edf1;--soft:#9aa7b4;--line:#2d3640;--accent:#6cb3ff;--wash:#15283c;--harm:#ff9d4d;--help:#6cb3ff;--on-strong:#10151a;--shade:none}}
*{box-sizing:border-box}
html{scroll-behavior:smooth;scroll-padding-top:3.4rem;-webkit-text-size-adjust:100%}
@media (prefers-reduced-motion:reduce){html{scroll-behavior:auto}}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","DejaVu Sans",sans-serif;overflow-wrap:break-word}
header,main,nav>div{max-width:72rem;margin:0 auto;padding:0 1.25rem}
header{padding-top:3rem;padding-bottom:1.4rem}
.kicker{margin:0;color:var(--soft);font-size:.82rem;letter-spacing:.06em}
h1{margin:.3rem 0 1rem;font-size:clamp(1.8rem,5vw,3rem);line-height:1.1;letter-spacing:-.025em;text-wrap:balance}
.answer{max-width:52rem;margin:0;font-size:clamp(1.1rem,2.4vw,1.45rem);line-height:1.45;text-wrap:pretty}
nav{position:sticky;top:0;z-index:3;background:color-mix(in srgb,var(--page) 92%,transparent);border-block:1px solid var(--line);backdrop-filter:blur(8px)}
nav>div{display:flex;gap:.2rem;overflow-x:auto;scrollbar-width:none;padding-block:.35rem}
nav a{flex:none;padding:.3rem .7rem;border-radius:2rem;color:var(--soft);font-size:.88rem;text-decoration:none}
nav a:hover{background:var(--wash);color:var(--accent)}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
section{margin:0 0 3.6rem}
section[id]{padding-top:.6rem}
h2{margin:0 0 .4rem;font-size:1.55rem;letter-spacing:-.015em;line-height:1.2}
h3{margin:2rem 0 .3rem;font-size:1.1rem}
.lead{max-width:46rem;margin:0 0 1.1rem;color:var(--soft);font-size:.95rem}
.lead b{color:var(--ink)}
small{color:var(--soft);font-size:.78rem}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,19rem),1fr));gap:1rem;margin:1.6rem 0 1rem}
.card{padding:1.2rem 1.3rem;background:var(--card);border:1px solid var(--line);border-radius:14px;box-shadow:var(--shade)}
.card h2{margin:0;color:var(--soft);font-size:.88rem;font-weight:600;letter-spacing:0}
.figure{margin:.25rem 0 0;color:var(--accent);font-size:clamp(2rem,5vw,2.7rem);font-weight:700;line-height:1.1;letter-spacing:-.03em;font-variant-numeric:tabular-nums}
.unit{margin:.15rem 0 .9rem;color:var(--soft);font-size:.84rem}
.card ul,.losses ul{margin:0;padding:0;list-style:none}
.card li{padding:.5rem 0;border-top:1px solid var(--line);line-height:1.35}
.scroll{overflow-x:auto;margin:0 0 1.3rem;border:1px solid var(--line);border-radius:12px;background:var(--card)}
table{width:100%;border-collapse:collapse;font-size:.88rem}
caption{padding:.8rem 1rem .3rem;font-weight:600;text-align:left}
th,td{padding:.5rem .8rem;text-align:right;vertical-align:top;line-height:1.3}
thead th{color:var(--soft);font-size:.78rem;font-weight:500;vertical-align:bottom}
tbody tr{border-top:1px solid var(--line)}
th:first-child{position:sticky;left:0;z-index:1;min-width:8.2rem;background:var(--card);text-align:left}
tbody th{font-weight:500}
tbody th small{display:block;font-weight:400}
.n{font-variant-numeric:tabular-nums;white-space:nowrap}
.facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,17rem),1fr));gap:.2rem 1.6rem;margin:0 0 1.2rem}
.facts div{padding:.45rem 0;border-top:1px solid var(--line)}
dt{color:var(--soft);font-size:.78rem}dd{margin:0;font-size:.9rem}
"""
"""What comes first; a page's own style follows."""
