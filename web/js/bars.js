// Probabilities as bars, the largest first.

/** @param {HTMLElement} list @param {number[]} probabilities @param {string[]} classes @param {{most?: number, right?: number}} options */
export function bars(list, probabilities, classes, { most = 5, right = -1 } = {}) {
  const order = probabilities.map((_, at) => at).sort((a, b) => probabilities[b] - probabilities[a]).slice(0, most);
  list.replaceChildren(...order.map((at) => {
    const item = document.createElement("li");
    item.classList.toggle("right-one", at === right);
    const [name, box, percent] = ["span", "span", "span"].map((tag) => item.appendChild(document.createElement(tag)));
    name.textContent = classes[at] + (at === right ? " ✓" : "");
    const line = box.appendChild(document.createElement("div"));
    line.className = "bar-line";
    line.style.width = `${100 * probabilities[at]}%`;
    percent.className = "percent";
    percent.textContent = `${Math.round(100 * probabilities[at])} %`;
    return item;
  }));
}
