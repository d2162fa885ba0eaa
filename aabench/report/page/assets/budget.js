// The budget: the memory that the reader has in mind, and what it makes of a row.

const VERDICTS = {
  fits: { mark: "✓", className: "fits" },
  "too close to tell": { mark: "≈", className: "close" },
  "does not fit": { mark: "✗", className: "not" },
  "no answer": { mark: "–", className: "none" },
};

const budgetListeners = [];
let budgets = [];
let chosenBudget = null;

function verdict(rows, row) {
  if (rows.low[row] === null) return "no answer";
  if (rows.high[row] <= chosenBudget.bytes) return "fits";
  return rows.low[row] > chosenBudget.bytes ? "does not fit" : "too close to tell";
}

function verdictMark(name) {
  const { mark, className } = VERDICTS[name];
  return `<span class="verdict ${className}" title="${name}">${mark}</span>`;
}

function startBudget(given, startName) {
  budgets = given;
  const select = document.getElementById("budget");
  if (!select) return;
  for (const budget of budgets) select.add(new Option(budget.label, budget.name));
  select.value = startName;
  const choose = () => {
    chosenBudget = budgets.find((budget) => budget.name === select.value);
    for (const listener of budgetListeners) listener();
  };
  select.addEventListener("change", choose);
  choose();
}
