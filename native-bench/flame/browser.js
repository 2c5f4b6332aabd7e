/**
 * The flame graph's page, in the browser: one graph per entry of the data, coloured by kind of code; click to zoom, type
 * to search. Plain script, written into the page behind d3-flame-graph.
 */
/* global d3, flamegraph */
(() => {
  const { graphs, colours } = JSON.parse(document.getElementById("data").textContent);
  const CELL_PX = 17;
  const PERCENT = 100;

  /** Samples in the frame itself, not in what it called. */
  function selfOf({ value, children }) {
    return value - children.reduce((sum, child) => sum + child.value, 0);
  }

  function describe(total) {
    const share = (samples) => `${((PERCENT * samples) / total).toFixed(2)} %`;
    return ({ data }) => `${data.name}: total ${share(data.value)}, self ${share(selfOf(data))}, ${data.value} samples`;
  }

  function draw(section, { root }) {
    const chart = flamegraph
      .default()
      .width(section.clientWidth)
      .cellHeight(CELL_PX)
      .minFrameSize(1)
      .transitionDuration(200)
      .inverted(true)
      .sort((a, b) => b.value - a.value)
      .setLabelHandler(describe(root.value))
      .setColorMapper(({ data, highlight }) => (highlight ? "#ff00ff" : colours[data.kind]))
      .setSearchMatch(({ data }, term) => term !== "" && data.name.toLowerCase().includes(term.toLowerCase()))
      .setDetailsElement(section.querySelector("output"));
    d3.select(section.querySelector("figure")).datum(root).call(chart);
    return chart;
  }

  const charts = graphs.map((graph, i) => draw(document.querySelectorAll("section")[i], graph));
  const search = document.querySelector("input");
  search.addEventListener("input", () => {
    for (const chart of charts) search.value === "" ? chart.clear() : chart.search(search.value);
  });
  document.querySelector("button").addEventListener("click", () => {
    search.value = "";
    for (const chart of charts) {
      chart.clear();
      chart.resetZoom();
    }
  });
})();
