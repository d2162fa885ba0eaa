// The page: puts everything in its place, words and tables first.

async function startPage() {
  startTheme();
  const page = JSON.parse(await unpackedText("page-data"));
  startBudget(page.budgets, page.budget);
  if (page.rows) {
    const DataTable = await loadDataTable();
    DataTable.ext.errMode = "throw";
    if (page.answer) startAnswer(DataTable, page.answer, page.rows);
    if (document.getElementById("rows")) startRows(DataTable, page.rows);
    startFailed(DataTable, page.rows, page.failed);
  }
  const Plotly = await loadPlotly();
  for (const chart of page.charts) startChart(Plotly, chart);
  if (page.heat) startHeatMap(Plotly, page.heat, page.rows);
  document.documentElement.dataset.ready = "yes";
}

await startPage();
