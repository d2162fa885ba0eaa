// The tables, by DataTables: what fits, the failed cases, and all rows. Only visible rows are ever built.

const FAILED_RANK = 1e30; // sorts what has no figure behind everything that has one
const MOST_LETTERS = 48; // of a cell's words; the others unfold, so that one row does not fill the window

function escaped(text) {
  const named = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
  return String(text).replace(/[&<>"]/g, (letter) => named[letter]);
}

function tableOf(DataTable, id, count, columns, settings = {}) {
  const element = document.getElementById(id);
  const table = new DataTable(element, {
    data: Array.from({ length: count }, (_, index) => [index]),
    columns: columns.map(tableColumn),
    order: [],
    autoWidth: false,
    pageLength: 25,
    language: { search: "Search:", info: "_START_ to _END_ of _TOTAL_", infoFiltered: "(of _MAX_)" },
    ...settings,
  });
  const scroller = element.parentElement;
  scroller.tabIndex = 0; // so that a wide table scrolls by keyboard
  scroller.setAttribute("role", "region");
  scroller.setAttribute("aria-label", element.getAttribute("aria-label"));
  return table;
}

// A column has a head, a text per row, and where it helps an order and an HTML of its own.
function tableColumn(column) {
  const order = column.order ?? column.text;
  return {
    title: escaped(column.head),
    className: column.isWords ? "dt-left words" : column.right ? "dt-right" : "dt-left",
    type: column.order ? "num" : "string",
    data: ([row], type) => {
      if (type === "display") return column.html ? column.html(row) : escaped(column.text(row));
      return type === "sort" || type === "type" ? order(row) : column.text(row);
    },
  };
}

function rowColumns(rows) {
  return rows.columns.map((column) => ({
    head: column.head,
    right: column.right,
    isWords: column.isWords,
    html: column.isWords ? (row) => foldedWords(column.text[row]) : undefined,
    text: (row) => column.text[row],
    order: column.value ? (row) => column.value[row] ?? FAILED_RANK : undefined,
  }));
}

function foldedWords(text) {
  if (text.length <= MOST_LETTERS) return escaped(text);
  const beginning = text.slice(0, text.lastIndexOf(" ", MOST_LETTERS));
  return `<details><summary>${escaped(beginning)} …</summary>${escaped(text)}</details>`;
}

function verdictColumn(rows) {
  return {
    head: "budget",
    text: (row) => verdict(rows, row),
    html: (row) => `${verdictMark(verdict(rows, row))} ${verdict(rows, row)}`,
  };
}

function statusColumn(rows) {
  return { head: "status", text: (row) => rows.status[row] };
}

function startRows(DataTable, rows) {
  const columns = [verdictColumn(rows), statusColumn(rows), ...rowColumns(rows)];
  const table = tableOf(DataTable, "rows", rows.count, columns);
  const place = document.getElementById("row-filters");
  const filters = [
    ["budget", Object.keys(VERDICTS), (row) => verdict(rows, row)],
    ["status", [...new Set(rows.status)], (row) => rows.status[row]],
  ];
  const attention = rows.columns.find((column) => column.head === "attention");
  if (attention) filters.push(["attention", [...new Set(attention.text)], (row) => attention.text[row]]);
  const chosen = filters.map(([name, options, value]) => {
    const select = addChoice(place, name, ["any", ...options], () => table.draw());
    return (row) => select.value === "0" || options[select.value - 1] === value(row);
  });
  table.search.fixed("filters", (text, [row]) => chosen.every((matches) => matches(row)));
  budgetListeners.push(() => table.rows().invalidate().draw(false));
}

function startFailed(DataTable, rows, failed) {
  if (!failed.length) return;
  const of = (column) => ({
    ...column,
    text: (place) => column.text(failed[place]),
    html: column.html && ((place) => column.html(failed[place])),
    order: column.order && ((place) => column.order(failed[place])),
  });
  const isSaid = (column) => failed.some((row) => !["", "–"].includes(column.text(row)));
  const [reason, others] = [[], []];
  for (const column of rowColumns(rows).filter(isSaid)) (column.head === "reason" ? reason : others).push(column);
  const columns = [statusColumn(rows), ...others, ...reason].map(of);
  tableOf(DataTable, "failed-rows", failed.length, columns, { pageLength: 10 });
}

function startAnswer(DataTable, answer, rows) {
  const settings = answer.heads.map((head, index) => ({
    head,
    right: answer.numeric[index],
    text: (setting) => answer.cells[setting][index],
    order: (setting) => answer.orders[index][setting],
  }));
  const forms = answer.forms.map((form, index) => ({
    head: form,
    text: (setting) => answerText(rows, answer.rows[setting][index]),
    html: (setting) => answerHtml(rows, answer.rows[setting][index]),
    order: (setting) => answerOrder(rows, answer.rows[setting][index]),
  }));
  const best = {
    head: "fastest that fits",
    text: (setting) => bestText(rows, answer, setting),
    order: (setting) => answerOrder(rows, fastest(rows, answer.rows[setting]) ?? -1),
  };
  const columns = [...settings, ...(forms.length > 1 ? [best] : []), ...forms];
  const table = tableOf(DataTable, "answer", answer.rows.length, columns, { pageLength: 10 });
  document.getElementById("answer-forms").parentElement.hidden = forms.length < 2;
  showSummary(answer, rows);
  budgetListeners.push(() => {
    table.rows().invalidate().draw(false);
    showSummary(answer, rows);
  });
}

function answerText(rows, row) {
  if (row < 0) return "";
  if (verdict(rows, row) === "no answer") return rows.status[row];
  const failed = ["ok", "predicted"].includes(rows.status[row]) ? "" : rows.status[row];
  return [rows.peak[row], rows.time[row], failed].filter(Boolean).join(" · ");
}

function answerHtml(rows, row) {
  if (row < 0) return "";
  const text = `${verdictMark(verdict(rows, row))} ${escaped(answerText(rows, row))}`;
  return rows.reason[row] ? `<span title="${escaped(rows.reason[row])}">${text}</span>` : text;
}

function answerOrder(rows, row) {
  if (row < 0) return 2 * FAILED_RANK;
  if (verdict(rows, row) !== "fits") return FAILED_RANK;
  return rows.latency[row] ?? FAILED_RANK / 2;
}

// Among measured times where there are any, so that no prediction wins against a measurement.
function fastest(rows, candidates) {
  const fitting = candidates.filter((row) => row >= 0 && verdict(rows, row) === "fits" && rows.latency[row] !== null);
  const measured = fitting.filter((row) => rows.status[row] === "ok");
  const from = measured.length ? measured : fitting;
  return from.reduce((best, row) => (best === null || rows.latency[row] < rows.latency[best] ? row : best), null);
}

function bestText(rows, answer, setting) {
  const row = fastest(rows, answer.rows[setting]);
  const isFitting = (each) => each >= 0 && verdict(rows, each) === "fits";
  if (row === null) return answer.rows[setting].some(isFitting) ? "no times" : "none";
  return `${answer.forms[answer.rows[setting].indexOf(row)]}, ${rows.time[row]}`;
}

function showSummary(answer, rows) {
  const fits = (row) => row >= 0 && verdict(rows, row) === "fits";
  const total = answer.rows.length;
  const some = answer.rows.filter((places) => places.some(fits)).length;
  document.getElementById("answer-line").textContent =
    `${some.toLocaleString("en")} of ${total.toLocaleString("en")} ${answer.noun} fit ${chosenBudget.label}` +
    (answer.forms.length > 1 ? " in at least one attention form." : ".");
  const lines = answer.forms.map((form, index) => {
    const known = answer.rows.map((places) => places[index]).filter((row) => row >= 0);
    const counts = Object.keys(VERDICTS).map((name) => known.filter((row) => verdict(rows, row) === name).length);
    return `<tr><th scope="row">${escaped(form)}</th>${counts.map((count) => `<td>${count || ""}</td>`).join("")}</tr>`;
  });
  document.querySelector("#answer-forms tbody").innerHTML = lines.join("");
}
