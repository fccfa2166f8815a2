"""Style and script of `report.html`, which loads nothing from elsewhere."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #fff; --text: #1c1e21; --quiet: #63676d; --line: #d9dce0; --panel: #f5f6f8;
  --accent: 37, 99, 235; --bad: #b42318;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #15171a; --text: #e6e8eb; --quiet: #9aa0a8; --line: #34383e; --panel: #1e2125;
    --accent: 96, 150, 255; --bad: #ff8a7a;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1.5rem; max-width: 88rem; background: var(--page); color: var(--text);
  font: 15px/1.45 system-ui, sans-serif;
}
h1 { font-size: 1.5rem; margin: 0 0 .5rem; }
h2 { font-size: 1.15rem; margin: 2rem 0 .6rem; }
p { margin: .3rem 0; }
.quiet { color: var(--quiet); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; }
th, td { padding: .4rem .7rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th { background: var(--panel); font-weight: 600; white-space: nowrap; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
code { font: 0.92em ui-monospace, monospace; }
.better { white-space: nowrap; }
.matrix td { text-align: center; min-width: 4.5rem; font-variant-numeric: tabular-nums; }
.matrix th { text-align: center; }
.cases { width: 100%; }
.cases th, .cases td { padding: .4rem .5rem; }
.cases td:first-child { overflow-wrap: anywhere; min-width: 3.5rem; }
.cases video, .cases .none { display: block; width: 15rem; border-radius: 4px; }
.cases video.small { image-rendering: pixelated; max-width: 100%; }
.cases .none { padding: 1rem; background: var(--panel); color: var(--quiet); text-align: center; }
.cases .prompt { min-width: 10rem; overflow-wrap: anywhere; }
.person {
  display: flex; gap: .6rem; align-items: center; margin-bottom: .4rem; min-width: 11rem; overflow-wrap: anywhere;
}
.person img { width: 3.5rem; height: 3.5rem; object-fit: cover; border-radius: 4px; flex: none; }
.person b { font-variant-numeric: tabular-nums; }
.remark { display: block; color: var(--bad); margin-top: .3rem; }
th button {
  all: unset; cursor: pointer; font: inherit; padding: 0 .1rem; border-bottom: 1px dotted var(--quiet);
}
th button:focus-visible { outline: 2px solid rgb(var(--accent)); }
@media (max-width: 46rem) {  /* a telephone: rows become blocks, their numbers say what they are */
  body { padding: .9rem; }
  .metrics, .metrics tbody, .cases, .cases tbody, .cases tr, .cases td { display: block; width: 100%; }
  .metrics thead, .cases thead, .metrics .better, .metrics td:empty, .cases td:empty { display: none; }
  .metrics tr {
    display: flex; flex-wrap: wrap; gap: 0 .9rem; padding: .5rem 0; border-bottom: 1px solid var(--line);
  }
  .metrics td, .cases td, .cases td.number { padding: 0; border: 0; text-align: left; }
  .metrics td:first-child, .metrics td:last-child { flex: 1 0 100%; overflow-wrap: anywhere; }
  .metrics td:last-child { color: var(--quiet); }
  .metrics td:nth-child(2) { font-weight: 600; }
  [data-label]::before { content: attr(data-label) " "; color: var(--quiet); }
  .cases tr { padding: .9rem 0; border-bottom: 1px solid var(--line); }
  .cases td:first-child { color: var(--quiet); }
  .cases td:first-child::before { content: "case "; }
  .cases video, .cases .none { width: 100%; max-width: 28rem; margin: .3rem 0 .6rem; }  /* but small ones */
  .cases td.number { display: inline-block; width: auto; margin: .3rem 1rem 0 0; }
  .matrix th, .matrix td, .transitions th, .transitions td { padding: .35rem .3rem; min-width: 0; }
  .matrix th, .transitions th { white-space: normal; }
  .transitions { font-size: .8rem; }
}
th[aria-sort=ascending] button::after { content: " \\2191"; }
th[aria-sort=descending] button::after { content: " \\2193"; }
"""

SCRIPT = """
for (const button of document.querySelectorAll(".cases th button")) {
  button.addEventListener("click", () => {
    const heading = button.closest("th");
    const column = [...heading.parentNode.children].indexOf(heading);
    const direction = heading.ariaSort === "ascending" ? -1 : 1;
    const body = button.closest("table").tBodies[0];
    const key = row => row.children[column].dataset.value ?? "";
    const compare = (a, b) => {
      const [x, y] = [key(a), key(b)];
      const [m, n] = [Number(x), Number(y)];
      return x === "" || y === "" ? (x === "") - (y === "")
        : direction * (isNaN(m) || isNaN(n) ? x.localeCompare(y) : m - n);
    };
    for (const row of [...body.rows].sort(compare)) body.append(row);
    for (const other of heading.parentNode.children) other.removeAttribute("aria-sort");
    heading.ariaSort = direction > 0 ? "ascending" : "descending";
  });
}
"""
