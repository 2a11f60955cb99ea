// The command that trains what the page trains.

const quoted = (text) => (/^[\w.=/-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** The lines of a shell that make the same runs. */
export function command(race) {
  const words = (side) => [...race.both, ...(side ? race.own[side] : [])].map((text) => ` --set ${quoted(text.replace(/\s*=\s*/, "="))}`).join("");
  const epochs = race.epochs ? ` --epochs ${race.epochs}` : "";
  const start = "ALEXNET_BURN_SIMD=narrow-nofma cargo run -p experiments --";
  if (race.ablation) {
    const seeds = ` --seeds ${race.seeds}${race.seed ? ` --seed-base ${race.seed}` : ""}`;
    return `${start} ablation ${race.ablation} --scale mini${seeds}${epochs}${words()}`;
  }
  const seeds = Array.from({ length: race.seeds }, (_, at) => race.seed + at);
  return seeds.flatMap((seed) => ["left", "right"].map((side) => `${start} train mini --seed ${seed}${epochs}${words(side)}`)).join("\n");
}
