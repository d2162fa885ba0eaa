// The charts: each shows the view of what is chosen, by Plotly, with lines for budgets where bytes are drawn.

const PLOT_SETTINGS = { displaylogo: false, responsive: true, modeBarButtonsToRemove: ["select2d", "lasso2d"] };
const FAR = 40; // a budget so many times above everything drawn would flatten it all
const LABEL_ROOM = 1.4; // so far beyond a budget's line the axis goes on, for its name
const NEAR = 1.35; // two budgets closer than this would be drawn over each other

function inTheme(value) {
  return JSON.parse(JSON.stringify(value).replaceAll('"@ink"', JSON.stringify(palette().ink)));
}

function baseLayout(extra) {
  const { ink, grid } = palette();
  const axis = { gridcolor: grid, zeroline: false, linecolor: grid, automargin: true };
  const { xaxis, yaxis, ...others } = extra;
  return {
    height: 420,
    margin: { l: 8, r: 16, t: 16, b: 8 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: ink, family: "system-ui, sans-serif", size: 13 },
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", traceorder: "normal" },
    hovermode: "closest",
    showlegend: true,
    xaxis: { ...axis, ...xaxis },
    yaxis: { ...axis, ...yaxis },
    ...others,
  };
}

function addChoice(place, name, options, onChange) {
  const label = document.createElement("label");
  const select = document.createElement("select");
  for (const [index, option] of options.entries()) select.add(new Option(option, index));
  select.addEventListener("change", onChange);
  label.append(`${name} `, select);
  place.append(label);
  return select;
}

function budgetLines(chart, traces) {
  if (!chart.budgetAxis || !chosenBudget) return { shapes: [], include: [], note: "" };
  const values = (trace) => trace[chart.budgetAxis].map((value, place) => value + (trace.error_y?.array[place] ?? 0));
  const drawn = traces.flatMap(chart.budgetAxis === "y" ? values : (trace) => trace.x);
  const least = chart.budgetUnit * drawn.reduce((one, other) => Math.min(one, other));
  const most = chart.budgetUnit * drawn.reduce((one, other) => Math.max(one, other));
  const isFar = chosenBudget.bytes > FAR * most;
  const shown = isFar ? [] : [chosenBudget];
  const cards = chart.budgetAxis === "y" ? budgets.filter((budget) => budget.isNamed) : [];
  for (const budget of cards) {
    const isApart = shown.every((other) => Math.abs(Math.log(other.bytes / budget.bytes)) > Math.log(NEAR));
    if (budget.bytes > least && budget.bytes < 2 * most && isApart) shown.push(budget);
  }
  return {
    shapes: shown.map((budget) => budgetLine(chart, budget)),
    include: [most, ...shown.map((budget) => budget.bytes)].map((bytes) => (LABEL_ROOM * bytes) / chart.budgetUnit),
    note: isFar ? `Everything drawn here is far below ${chosenBudget.name}.` : "",
  };
}

function budgetLine(chart, budget) {
  const [along, across] = chart.budgetAxis === "y" ? ["x", "y"] : ["y", "x"];
  const at = budget.bytes / chart.budgetUnit;
  const isChosen = budget === chosenBudget;
  const color = isChosen ? palette().ink : palette().muted;
  return {
    type: "line",
    [`${along}ref`]: "paper",
    [`${along}0`]: 0,
    [`${along}1`]: 1,
    [`${across}0`]: at,
    [`${across}1`]: at,
    line: isChosen ? { color, width: 2 } : { color, width: 1, dash: "dot" },
    label: {
      text: escaped(budget.name),
      textposition: chart.budgetAxis === "y" ? "start" : "end",
      font: { size: 11, color },
    },
  };
}

function startChart(Plotly, chart) {
  const figure = document.getElementById(`chart-${chart.key}`);
  const plot = figure.querySelector(".plot");
  const note = figure.querySelector(".note");
  const start = chart.start.split(",");
  const selects = chart.choices.map((choice, index) => {
    const select = addChoice(figure.querySelector(".choices"), choice.name, choice.options, draw);
    select.value = start[index];
    select.parentElement.hidden = choice.options.length < 2;
    return select;
  });

  function draw() {
    const view = chart.views[selects.map((select) => select.value).join(",")];
    if (!view) {
      Plotly.purge(plot);
      note.textContent = "No row has this combination.";
      return;
    }
    const lines = budgetLines(chart, view.traces);
    const shapes = [...inTheme(chart.layout.shapes ?? []), ...lines.shapes];
    const layout = baseLayout({ ...chart.layout, ...view.layout, shapes });
    if (lines.include.length) {
      layout[`${chart.budgetAxis}axis`].autorangeoptions = { include: lines.include };
    }
    Plotly.react(plot, inTheme(view.traces), layout, PLOT_SETTINGS);
    note.textContent = [view.note, lines.note].filter(Boolean).join(" ");
  }

  draw();
  themeListeners.push(draw);
  if (chart.budgetAxis) budgetListeners.push(draw);
}
