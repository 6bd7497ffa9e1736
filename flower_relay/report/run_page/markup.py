"""The markup of a run's page; the script fills it in, run by run."""

from __future__ import annotations

__all__ = ["MARKUP"]

MARKUP = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{{ policy }}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>{{ title }} · flower_relay</title>
<style>{{ style }}</style>
</head>
<body>
<noscript><p>This page draws itself: it needs JavaScript, and nothing from elsewhere.</p></noscript>
<main id="runs"></main>
<template id="run">
<article class="run">
<header class="top">
<p class="kicker">flower_relay <span data-is="kind"></span></p>
<h1 data-is="title"></h1>
<p class="state"><span class="pill" data-is="state"></span> <span data-is="clock"></span></p>
<div class="progress" role="progressbar" aria-label="Part of the run that is done"
  aria-valuemin="0" aria-valuemax="100"><i data-is="bar"></i></div>
<p class="problem" data-is="problem" hidden></p>
</header>
<dl class="figures" data-is="figures"></dl>
<section>
<h2>How it learns</h2>
<p class="keys" data-is="curve-keys"></p>
<figure class="plot" data-is="curve"></figure>
</section>
<section>
<h2>The way of the model</h2>
<p class="keys">
<span><svg viewBox="0 0 12 12"><circle class="k-accepted" cx="6" cy="6" r="4"/></svg>accepted</span>
<span><svg viewBox="0 0 12 12"><path class="k-rejected" d="M2 2L10 10M10 2L2 10"/></svg>rejected
 or failed</span>
<span><svg viewBox="0 0 12 12"><circle class="k-voided" cx="6" cy="6" r="3.5"/></svg>undone,
 untested or left</span>
</p>
<figure class="way">
<div class="ways"><div class="names" data-is="names" aria-hidden="true"></div>
<canvas data-is="way" tabindex="0" role="img"
  aria-label="A row for each participant, a column for each hop"></canvas></div>
<div class="pan"><label><input type="checkbox" data-is="whole"> whole run</label>
<input type="range" min="1" max="1" value="1" data-is="pan" aria-label="Last hop shown">
<output data-is="span"></output></div>
<figcaption data-is="hop"></figcaption>
</figure>
</section>
<section>
<h2>Last faults</h2>
<ol class="faults" data-is="faults"></ol>
</section>
<section>
<h2>Standings and coins</h2>
<div class="scroll" tabindex="0" role="region" aria-label="Standings">
<table><thead><tr data-is="heads"></tr></thead><tbody data-is="people"></tbody></table></div>
</section>
</article>
</template>
<script type="application/json" id="data">{{ data }}</script>
<script>{{ script }}</script>
</body>
</html>
"""
