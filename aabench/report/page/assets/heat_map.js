// The heat map: peak memory over any two axes, with the boundary of the budget between its cells.

const MOST_WRITTEN_CELLS = 160;

function startHeatMap(Plotly, heat, rows) {
  const figure = document.getElementById("heat-map");
  const plot = figure.querySelector(".plot");
  const note = figure.querySelector(".note");
  const choices = figure.querySelector(".choices");
  const heads = heat.axes.map((axis) => axis.head);
  const across = addChoice(choices, "across", heads, draw);
  const down = addChoice(choices, "up", heads, draw);
  across.value = heat.across;
  down.value = heat.down;
  const held = heat.axes.map((axis, index) => {
    const select = addChoice(choices, axis.head, axis.labels, draw);
    select.value = heat.start[index];
    return select;
  });
  const places = new Map();
  for (let row = rows.count - 1; row >= 0; row -= 1) {
    places.set(heat.axes.map((axis) => axis.codes[row]).join(","), row);
  }

  function cells() {
    const [x, y] = [Number(across.value), Number(down.value)];
    const codes = held.map((select) => Number(select.value));
    return heat.axes[y].labels.map((_, i) =>
      heat.axes[x].labels.map((_, j) => {
        codes[y] = i;
        codes[x] = j;
        return places.get(codes.join(",")) ?? null;
      }),
    );
  }

  function draw(event) {
    if (across.value === down.value) {
      const other = event?.target === down ? across : down;
      other.value = heat.axes.findIndex((_, index) => index !== Number(across.value));
    }
    held.forEach((select, index) => {
      select.parentElement.hidden = [across.value, down.value].includes(String(index));
    });
    const found = cells();
    const traces = [heatTrace(found, rows), ...boundary(found, rows)];
    const layout = { xaxis: heatAxis(heat.axes[across.value]), yaxis: heatAxis(heat.axes[down.value]) };
    Plotly.react(plot, traces, baseLayout({ ...layout, showlegend: false }), PLOT_SETTINGS);
    note.textContent = heatNote(found, rows);
  }

  draw();
  themeListeners.push(draw);
  budgetListeners.push(draw);
}

function heatAxis(axis) {
  const step = Math.ceil(axis.labels.length / 24);
  const ticks = axis.labels.map((_, index) => index).filter((index) => index % step === 0);
  return {
    title: { text: axis.head },
    tickvals: ticks,
    ticktext: ticks.map((index) => escaped(axis.labels[index])),
    showgrid: false,
    range: [-0.5, axis.labels.length - 0.5],
  };
}

function heatTrace(found, rows) {
  const written = found.flat().length <= MOST_WRITTEN_CELLS;
  const logarithm = (row) => (row === null || rows.value[row] === null ? null : Math.log2(rows.value[row]));
  const values = found.flat().map(logarithm).filter((value) => value !== null);
  const ticks = [];
  const step = Math.max(1, Math.ceil((Math.max(...values) - Math.min(...values)) / 6));
  for (let power = Math.ceil(Math.min(...values)); power <= Math.max(...values); power += step) ticks.push(power);
  return {
    type: "heatmap",
    z: found.map((line) => line.map(logarithm)),
    text: found.map((line) => line.map((row) => cellText(rows, row))),
    texttemplate: written ? "%{text}" : "",
    hovertemplate: "%{x}, %{y}: %{text}<extra></extra>",
    colorscale: "Cividis",
    reversescale: true,
    xgap: 1,
    ygap: 1,
    colorbar: {
      title: { text: "peak" },
      tickvals: ticks,
      ticktext: ticks.map((power) => binary(2 ** power)),
      thickness: 12,
    },
  };
}

function cellText(rows, row) {
  if (row === null) return "";
  const isPlain = ["ok", "predicted"].includes(rows.status[row]);
  return escaped(isPlain ? rows.peak[row] : `${rows.status[row]} ${rows.peak[row]}`);
}

function boundary(found, rows) {
  const fits = found.map((line) => line.map((row) => (row === null ? null : verdict(rows, row) === "fits")));
  const [x, y] = [[], []];
  const differ = (one, other) => one !== undefined && one !== null && other !== null && one !== other;
  fits.forEach((line, i) =>
    line.forEach((cell, j) => {
      if (differ(line[j + 1], cell)) {
        x.push(j + 0.5, j + 0.5, null);
        y.push(i - 0.5, i + 0.5, null);
      }
      if (differ(fits[i + 1]?.[j], cell)) {
        x.push(j - 0.5, j + 0.5, null);
        y.push(i + 0.5, i + 0.5, null);
      }
    }),
  );
  const line = (color, width) => ({ type: "scatter", mode: "lines", x, y, line: { color, width }, hoverinfo: "skip" });
  return [line("#ffffff", 8), line("#d55e00", 4)];
}

function heatNote(found, rows) {
  const known = found.flat().filter((row) => row !== null);
  const fitting = known.filter((row) => verdict(rows, row) === "fits").length;
  return `${fitting} of ${known.length} cells fit ${chosenBudget.name}.`;
}

function binary(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
  const power = Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10));
  return `${bytes / 1024 ** power} ${units[power]}`;
}
