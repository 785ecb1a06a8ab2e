// Sorts a table by the column whose heading is pressed. The page reads the same without it.
"use strict";
for (const table of document.querySelectorAll("table")) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  if (!body || body.rows.length < 3) continue;
  for (const [column, head] of heads.entries()) {
    if (!head.textContent.trim()) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.ariaSort === "ascending";
      for (const other of heads) other.ariaSort = null;
      head.ariaSort = down ? "descending" : "ascending";
      const rows = [...body.rows].map((row) => [row, row.cells[column].textContent.trim()]);
      rows.sort(([, a], [, b]) => {
        const [x, y] = [parseFloat(a), parseFloat(b)];
        if (isNaN(x) !== isNaN(y)) return isNaN(x) - isNaN(y); // what is missing stays last
        const order = isNaN(x) ? a.localeCompare(b, "en", { numeric: true }) : x - y;
        return down ? -order : order;
      });
      body.append(...rows.map(([row]) => row));
    });
  }
}
