/**
 * The script of the page that plot.ts makes; runs in a browser, after uPlot. Reads the groups from #data and draws one chart
 * per group, again whenever the width, the scheme of colours or the axis changes, and for the printer.
 */
(() => {
  const groups = JSON.parse(document.getElementById("data").textContent);
  const linear = document.getElementById("linear");
  const choice = document.getElementById("group");
  const sections = [...document.querySelectorAll("section")];
  const charts = sections.map(() => null);
  const ticks = [0, Math.log10(2), 1, 2, 3, 4, 5, 6];

  const percentile = (x) => {
    const digits = Math.max(0, Math.ceil(x) - 1);
    return `${(100 * (1 - 10 ** -x)).toFixed(Number.isInteger(x) ? Math.max(0, x - 2) : digits)} %`;
  };
  const latency = (unit) => (value) =>
    value == null ? "–" : `${Number(value.toPrecision(4))} ${unit === "us" ? "µs" : unit}`;

  /** To one digit: where the lines of a logarithmic axis are. */
  function rounded(value, round) {
    // There is nothing to draw.
    if (!(value > 0)) return round(1.5);
    const digit = 10 ** Math.floor(Math.log10(value));
    return round(value / digit) * digit;
  }

  function options(group, width) {
    const style = getComputedStyle(document.documentElement);
    const axis = {
      stroke: style.getPropertyValue("--ink"),
      grid: { stroke: style.getPropertyValue("--line"), width: 1 },
      ticks: { stroke: style.getPropertyValue("--line"), width: 1 },
      font: "13px system-ui, sans-serif",
    };
    const show = latency(group.unit);
    return {
      width,
      padding: [12, 36, 0, 0],
      height: Math.round(Math.min(420, Math.max(260, width * 0.42))),
      scales: {
        x: { time: false, range: () => [0, group.x[group.x.length - 1]] },
        y: linear.checked
          ? { range: (_, __, max) => [0, max * 1.05] }
          : { distr: 3, range: (_, min, max) => [rounded(min / 1.01, Math.floor), rounded(max * 1.01, Math.ceil)] },
      },
      axes: [
        {
          ...axis,
          splits: () => ticks.filter((tick) => tick <= group.x[group.x.length - 1]),
          values: (_, splits) => splits.map(percentile),
        },
        { ...axis, size: 84, values: (_, splits) => splits.map((value) => (value === null ? "" : show(value))) },
      ],
      series: [
        { label: "percentile", value: (_, x) => (x == null ? "–" : percentile(x)) },
        ...group.series.map(({ name, colour, dashed }) => ({
          label: name,
          stroke: colour,
          width: 2,
          dash: dashed ? [6, 4] : undefined,
          points: { show: false },
          value: (_, value) => show(value),
        })),
      ],
    };
  }

  /** A logarithmic axis has no place for 0. */
  const drawable = (value) => (value === 0 && !linear.checked ? null : value);

  function draw() {
    sections.forEach((section, i) => {
      section.hidden = choice.value !== "" && choice.value !== String(i);
      if (section.hidden) return;
      const target = section.querySelector(".chart");
      charts[i]?.destroy();
      const data = [groups[i].x, ...groups[i].series.map(({ values }) => values.map(drawable))];
      charts[i] = new uPlot(options(groups[i], target.clientWidth), data, target);
    });
  }

  choice.addEventListener("change", draw);
  linear.addEventListener("change", draw);
  addEventListener("resize", draw);
  addEventListener("beforeprint", draw);
  addEventListener("afterprint", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  draw();
})();
