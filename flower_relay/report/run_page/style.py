"""The style of a run's page; it comes after the one that all pages share."""

from __future__ import annotations

__all__ = ["STYLE"]

STYLE = """\
main#runs{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,34rem),1fr));gap:2.5rem;max-width:72rem;padding-block:1.6rem 3rem}
main#runs.several{max-width:none}
.run{min-width:0}
.run .top{max-width:none;margin:0;padding:0 0 1rem}
.run h1{margin:.15rem 0 .5rem;font-size:clamp(1.35rem,3.4vw,2.1rem);overflow-wrap:anywhere}
.run h2{margin:0 0 .45rem;font-size:1.15rem}
.run section{margin:0 0 1.9rem}
.run figure{margin:0;padding:.8rem;border:1px solid var(--line);border-radius:12px;background:var(--card)}
.state{display:flex;flex-wrap:wrap;align-items:center;gap:.3rem .8rem;margin:0 0 .7rem;color:var(--soft);font-size:.92rem}
.pill{display:inline-flex;align-items:center;gap:.45rem;padding:.12rem .75rem;border:1px solid var(--line);border-radius:2rem;background:var(--card);color:var(--ink);font-weight:600}
.pill::before{content:"";width:.55rem;height:.55rem;border-radius:50%;background:var(--soft)}
.pill.running::before{background:#00a070;animation:beat 1.6s ease-in-out infinite}
.pill.lost::before{background:var(--harm)}
@keyframes beat{50%{opacity:.3}}
@media (prefers-reduced-motion:reduce){.pill.running::before{animation:none}}
.progress{height:6px;border-radius:3px;background:var(--line);overflow:hidden}
.progress i{display:block;width:0;height:100%;border-radius:3px;background:var(--accent)}
.problem{margin:.8rem 0 0;padding:.6rem .9rem;border-left:4px solid var(--harm);border-radius:8px;background:var(--card);font-size:.9rem;overflow-wrap:anywhere}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(6.4rem,1fr));gap:.6rem;margin:0 0 1.9rem}
.figures div{padding:.6rem .8rem;border:1px solid var(--line);border-radius:12px;background:var(--card)}
.figures dd{display:flex;flex-wrap:wrap;align-items:baseline;column-gap:.3rem;font-size:1.3rem;font-weight:650;letter-spacing:-.015em;font-variant-numeric:tabular-nums}
.figures small{font-size:.75rem;font-weight:400;line-height:1.3;letter-spacing:0;white-space:nowrap}
.keys{display:flex;flex-wrap:wrap;gap:.2rem 1.1rem;min-height:1.5em;margin:0 0 .5rem;color:var(--soft);font-size:.84rem}
.keys span{display:inline-flex;align-items:center;gap:.4rem}
.keys svg{width:12px;height:12px}
.keys .dash{width:18px}
.k-accepted{fill:var(--accent)}
.k-rejected{fill:none;stroke:var(--harm);stroke-width:2.2}
.k-voided{fill:none;stroke:var(--soft);stroke-width:1.4}
.plot svg{height:220px}
.plot svg text{fill:var(--soft);font-size:11px;font-variant-numeric:tabular-nums}
.plot .rule{stroke:var(--line)}
.plot path,.dash path{fill:none;stroke-width:2;stroke-linejoin:round}
.u{stroke:var(--accent)}.a{stroke:#c78500}
.plot .lost{stroke:var(--harm);stroke-width:1}
.plot .empty,.faults .none{color:var(--soft);font-size:.9rem}
.ways{display:flex;gap:.5rem}
.names{flex:none;max-width:8.5rem;overflow:hidden;color:var(--soft);font-size:11px;text-align:right;white-space:nowrap}
.names div{position:relative}
.names span{position:absolute;right:0;max-width:100%;overflow:hidden;text-overflow:ellipsis;transform:translateY(-50%);line-height:1.15}
.names .hostile,td.hostile,th.hostile{color:var(--harm)}
.way canvas{display:block;flex:1;min-width:0;width:100%;cursor:crosshair;touch-action:pan-y}
.pan{display:flex;align-items:center;gap:.8rem;margin:.6rem 0 0;color:var(--soft);font-size:.84rem}
.pan label{flex:none;display:flex;align-items:center;gap:.35rem;color:var(--ink)}
.pan input[type=range]{flex:1;min-width:0;accent-color:var(--accent)}
.pan output{flex:none;min-width:7rem;text-align:right;font-variant-numeric:tabular-nums}
.way figcaption{min-height:3em;padding:.5rem 0 0;font-weight:400;font-size:.86rem;overflow-wrap:anywhere}
.run th button{padding:0;border:0;background:none;color:inherit;font:inherit;cursor:pointer}
.run th[aria-sort] button{color:var(--accent);font-weight:600}
.run tbody th{max-width:12rem;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.run thead th{white-space:nowrap}
.run td{font-variant-numeric:tabular-nums}
.faults{margin:0;padding:0;list-style:none}
.faults li{display:grid;grid-template-columns:5.2rem minmax(0,9rem) minmax(0,1fr);gap:.1rem .8rem;padding:.4rem 0;border-top:1px solid var(--line);font-size:.88rem;overflow-wrap:anywhere}
.faults li:first-child{border-top:0}
.faults .at{color:var(--soft);font-variant-numeric:tabular-nums}
.faults li.none{display:block}
.faults b{font-weight:600}
@media (max-width:34rem){
main#runs{padding-inline:.9rem}
.figures{grid-template-columns:repeat(3,1fr);gap:.45rem}.figures div{padding:.45rem .55rem}.figures dd{font-size:1.02rem}
.names{max-width:5.4rem;font-size:10px}
.faults li{grid-template-columns:4.2rem minmax(0,1fr)}.faults .why{grid-column:1/-1}
.pan output{min-width:5.4rem}
.run th,.run td{padding:.4rem .5rem}
}
@media print{.pan{display:none}.run section{break-inside:avoid}}
"""
