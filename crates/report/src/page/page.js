"use strict";
// Sorts and filters the tables of runs. Everything else on the page works without a script.
for (const block of document.querySelectorAll(".runs-block")) {
  const body = block.querySelector("tbody"), rows = [...body.rows];
  const filter = block.querySelector("input"), count = block.querySelector("[role=status]");
  const heads = [...block.querySelectorAll("thead th")].slice(0, -1);
  const text = (row) => [0, 2, 3, 7].map((at) => row.cells[at].textContent).join(" ").toLowerCase();
  const texts = new Map(rows.map((row) => [row, text(row)]));
  let sorted = null, down = false;

  const compare = (a, b) => {
    const [one, other] = [a, b].map((row) => row.cells[sorted].textContent);
    if (one === "–" || other === "–") return (one === "–") - (other === "–");
    const order = heads[sorted].className === "number" ? one - other : one.localeCompare(other);
    return down ? -order : order;
  };
  const arrange = () => {
    // `seed 1` means that seed and not every 1.
    const wanted = filter.value.toLowerCase(), seed = wanted.match(/\bseed\s+(\d+)/)?.[1];
    const words = wanted.replace(/\bseed\s+\d+/, "").split(/\s+/).filter(Boolean);
    const shown = rows.filter((row) => (seed === undefined || row.cells[1].textContent === seed)
      && words.every((word) => texts.get(row).includes(word)));
    if (sorted !== null) shown.sort(compare);
    body.replaceChildren(...shown);
    count.textContent = `${shown.length} of ${rows.length} runs`;
  };
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => {
      down = sorted === column && !down;
      sorted = column;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      arrange();
    });
    head.append(button);
  });
  filter.addEventListener("input", arrange);
  filter.parentElement.hidden = false;
  arrange();
  // A link to a run that the filter hides shows all runs again.
  addEventListener("hashchange", () => {
    const row = rows.find((row) => `#${row.id}` === location.hash);
    if (!row || row.isConnected) return;
    filter.value = "";
    arrange();
    location.replace(location.hash);
  });
}
