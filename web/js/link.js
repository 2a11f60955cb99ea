// A race in the page's address, after `#race?`. The same text is the whole state of a race in an iframe.

/** The race that the page opens with: the activation of figure 1, whose curves part within seconds. */
export const OPENING = {
  ablation: "figure-1", left: "relu", right: "tanh", seed: 0, seeds: 1, epochs: 4,
  both: ["recipe.training_error.stop_at=0.0", "recipe.training_error.images=1000"], own: { left: [], right: [] },
};

/** The page and the race that an address names. */
export function read(hash) {
  const [page, query = ""] = hash.replace(/^#/, "").split("?");
  const values = new URLSearchParams(query);
  if (page !== "race" || !values.has("left")) return { page: page || "race", race: null, embedded: values.has("embed") };
  const number = (name, otherwise) => (/^\d+$/.test(values.get(name) ?? "") ? +values.get(name) : otherwise);
  return {
    page,
    embedded: values.has("embed"),
    race: {
      ablation: values.get("ablation") ?? "",
      left: values.get("left"),
      right: values.get("right") ?? "",
      seed: number("seed", 0),
      seeds: Math.min(32, Math.max(1, number("seeds", 1))),
      epochs: number("epochs", 0) || null,
      both: values.getAll("set"),
      own: { left: values.getAll("left.set"), right: values.getAll("right.set") },
    },
  };
}

/** The address of a race. */
export function write(race) {
  const values = new URLSearchParams({ ablation: race.ablation, left: race.left, right: race.right, seed: race.seed, seeds: race.seeds });
  if (race.epochs) values.set("epochs", race.epochs);
  race.both.forEach((text) => values.append("set", text));
  race.own.left.forEach((text) => values.append("left.set", text));
  race.own.right.forEach((text) => values.append("right.set", text));
  return `#race?${values}`;
}
