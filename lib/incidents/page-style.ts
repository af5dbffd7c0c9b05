/**
 * How the page looks. Light unless the reader's system is dark; on paper always light, with the colours of the drawing
 * kept and the hints of a screen left out.
 */
export const pageStyle = `
:root {
  color-scheme: light dark;
  --page: #ffffff; --ink: #1c2430; --soft: #566173; --rule: #d8dee7; --wash: #f4f6f9;
  --open: #c8322b; --half: #d98a00; --closed: #cfe8d5; --held: #7b5bc4; --on-closed: #1f5a33; --on-strong: #ffffff; --on-half: #1c1400;
  --failed: #c8322b; --late: #985a00; --saved: #22753e; --aborted: #6b7585; --running: #2a6fc9; --bytes: #3c78b8;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14181f; --ink: #e6eaf0; --soft: #a0abba; --rule: #333c49; --wash: #1c222c;
    --open: #e5534b; --half: #e3a32f; --closed: #23402d; --held: #9b82e0; --on-closed: #a8dab8; --on-strong: #14181f; --on-half: #14181f;
    --failed: #ff7b72; --late: #e3a32f; --saved: #56c271; --aborted: #98a3b3; --running: #6cb0ff; --bytes: #5a9bd8;
  }
}
@media print {
  :root {
    color-scheme: light;
    --page: #ffffff; --ink: #000000; --soft: #444444; --rule: #bbbbbb; --wash: #f2f2f2;
    --open: #c8322b; --half: #e0a030; --closed: #e2f1e6; --held: #7b5bc4; --on-closed: #1f5a33; --on-strong: #ffffff; --on-half: #1c1400;
    --failed: #b02018; --late: #8a5200; --saved: #1f6b39; --aborted: #555555; --running: #1f5aa8; --bytes: #3c78b8;
  }
  @page { margin: 12mm; }
  svg, th, td { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  main { padding: 0 !important; max-width: none !important; }
  .drawing, .table { overflow: visible !important; }
  .drawing svg { min-width: 0 !important; }
  body { font-size: 10pt !important; }
  table { font-size: 8pt !important; }
  h2 { break-after: avoid; }
  tr, .drawing { break-inside: avoid; }
  thead { display: table-header-group; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 28px 24px 48px; }
h1 { font-size: 1.55rem; line-height: 1.25; margin: 0 0 .8rem; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 2rem 0 .6rem; }
ul.summary { margin: 0 0 1.4rem; padding-left: 1.1rem; overflow-wrap: anywhere; }
p.note, footer { color: var(--soft); font-size: .87rem; overflow-wrap: anywhere; }
footer { margin-top: 2.4rem; border-top: 1px solid var(--rule); padding-top: .7rem; }
.state { display: inline-block; border-radius: 3px; padding: 0 .5em; font-size: .8rem; font-weight: 600; background: var(--saved); color: var(--page); vertical-align: middle; }
.state.still { background: var(--open); color: var(--on-strong); }
.drawing { overflow-x: auto; border: 1px solid var(--rule); border-radius: 6px; padding: 8px 14px; background: var(--page); }
.drawing svg { display: block; width: 100%; min-width: 720px; height: auto; font: 12px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
.table { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .87rem; }
th, td { text-align: left; vertical-align: top; padding: .32rem .6rem; border-bottom: 1px solid var(--rule); overflow-wrap: anywhere; unicode-bidi: isolate; }
th { background: var(--wash); font-weight: 600; white-space: nowrap; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.time { font-variant-numeric: tabular-nums; white-space: nowrap; color: var(--soft); }
tr.failed td.outcome { color: var(--failed); } tr.late td.outcome { color: var(--late); } tr.saved td.outcome { color: var(--saved); }
svg text { fill: var(--ink); }
svg .heading { font-weight: 600; font-size: 13px; }
svg .heading, svg .tick { paint-order: stroke; stroke: var(--page); stroke-width: 4px; stroke-linejoin: round; }
svg .detail, svg .tick { fill: var(--soft); font-size: 11px; }
svg .grid { stroke: var(--rule); stroke-width: 1; }
svg .end { stroke: var(--soft); stroke-width: 1; stroke-dasharray: 4 3; }
svg rect.closed { fill: var(--closed); } svg rect.open { fill: var(--open); } svg rect.half-open { fill: var(--half); } svg rect.held { fill: var(--held); }
svg .word { font-size: 11px; font-weight: 600; fill: var(--on-strong); }
svg rect.closed ~ .word { fill: var(--on-closed); } svg rect.half-open ~ .word { fill: var(--on-half); }
svg .act { fill: var(--held); } svg .number { font-size: 10px; font-weight: 600; fill: var(--on-strong); }
svg .failed { color: var(--failed); } svg .late { color: var(--late); } svg .saved { color: var(--saved); } svg .aborted { color: var(--aborted); } svg .running { color: var(--running); }
svg .run { stroke: currentColor; stroke-width: 2; stroke-opacity: .45; stroke-linecap: round; }
svg .mark { fill: currentColor; } svg .mark.cross { fill: none; stroke: currentColor; stroke-width: 2.4; stroke-linecap: round; }
svg .bytes { fill: var(--bytes); fill-opacity: .75; }
`;
