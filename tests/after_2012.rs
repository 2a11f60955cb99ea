//! `docs/after-2012.md`: its tables are made from committed files, as those of `documents` are.

use serde_json::Value;
use toml::Table;

use crate::documents::block;
use crate::support::repository;

const DOCUMENT: &str = "docs/after-2012.md";

fn json(path: &str) -> Option<Value> {
    Some(serde_json::from_slice(&std::fs::read(repository(path)).ok()?).unwrap())
}

fn toml(path: &str) -> Table {
    toml::from_str(&std::fs::read_to_string(repository(path)).unwrap()).unwrap()
}

fn names(list: &toml::Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

/// The statements of the audit.
fn statements() -> Vec<Value> {
    json("docs/after-2012.json").unwrap()["statements"].as_array().unwrap().clone()
}

fn statement(id: &str) -> Option<Value> {
    statements().into_iter().find(|statement| statement["id"] == id)
}

/// A difference with its adjusted interval and the verdict, or that there is none.
fn found(statement: &Value) -> String {
    if statement["complete"] != true {
        return "not run".to_owned();
    }
    let number = |value: &Value| format!("{:+.2}", value.as_f64().unwrap()).replace('-', "−");
    let verdict = statement["verdict"].as_str().unwrap();
    let interval = &statement["adjusted_interval"];
    match interval.is_null() {
        true => format!("{}: {verdict}", number(&statement["difference"])),
        false => format!(
            "{} [{}, {}]: {verdict}",
            number(&statement["difference"]),
            number(&interval[0]),
            number(&interval[1])
        ),
    }
}

/// How long a step of an arm takes beside one of the base: the median over rounds, the least and the most.
fn time(cost: Option<&Value>, arm: &str) -> String {
    let Some(cost) = cost else { return "not measured".to_owned() };
    let arms = cost["arms"].as_array().unwrap();
    let times = |arm: &Value| -> Vec<f64> { serde_json::from_value(arm["milliseconds"].clone()).unwrap() };
    let base = times(&arms[0]);
    let Some(arm) = arms.iter().find(|other| other["name"] == arm) else { return "–".to_owned() };
    let quotients: Vec<f64> = times(arm).iter().zip(&base).map(|(own, base)| own / base).collect();
    let least = quotients.iter().copied().fold(f64::INFINITY, f64::min);
    let most = quotients.iter().copied().fold(0.0, f64::max);
    format!("{:.2} ({least:.2} to {most:.2})", arm["step_time"].as_f64().unwrap())
}

#[test]
fn every_idea_has_its_row() {
    let ablation = toml("experiments/ablations/modern.toml");
    let arms = ablation["arms"].as_array().unwrap();
    let named = |name: &str| arms.iter().find(|arm| arm["name"].as_str() == Some(name)).unwrap();
    let together = names(&named("all")["like"]);
    let cost = json("docs/figures/modern-cost.json");
    let mut rows = "| year | idea | source, and Mishkin et al. | alone | left out of all | time per step |\n\
         |---|---|---|---|---|---|\n"
        .to_owned();
    let alone = arms.iter().filter(|arm| arm.get("like").is_none());
    for name in alone.map(|arm| arm["name"].as_str().unwrap()).chain(["all"]) {
        let own = statement(name).unwrap_or_else(|| panic!("the audit has no statement `{name}`"));
        let left_out = match together.iter().any(|other| other == name) {
            true => found(&statement(&format!("without-{name}")).unwrap()),
            false => "–".to_owned(),
        };
        let word = |key: &str| own[key].as_str().unwrap();
        rows += &format!(
            "| {} | `{name}` | {} | {} | {left_out} | {} |\n",
            word("section"),
            word("paper"),
            found(&own),
            time(cost.as_ref(), name),
        );
    }
    block(DOCUMENT, "ideas", &rows);

    let statements = statements();
    let complete = statements.iter().filter(|statement| statement["complete"] == true).count();
    let state = match complete {
        0 => "**The counted runs have not been made**, so no idea has a verdict yet.".to_owned(),
        _ => format!("{complete} of {} comparisons are complete.", statements.len()),
    };
    block(DOCUMENT, "state", &format!("{state}\n"));
}

/// A learning rate and the mean error that it gave, if it was run.
type Rate = (f64, Option<f64>);

#[test]
fn every_rate_of_the_pilot_has_its_place() {
    let [pilot, edges] =
        ["", "-edges"].map(|name| toml(&format!("experiments/pilots/fashion-modern{name}.toml")));
    // A file for each seed of each pilot, as far as they were run.
    let files = ["1000", "1001", "edges-1000", "edges-1001"];
    let results = files.map(|name| json(&format!("experiments/pilots/fashion-modern-{name}.json")));
    let mean = |names: [String; 2]| {
        let arms = results.iter().flatten().flat_map(|result| result["arms"].as_array().unwrap());
        let named = arms.filter(|arm| names.iter().any(|name| arm["name"] == *name));
        let values: Vec<f64> = named.filter_map(|arm| arm["mean"].as_f64()).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    let grid = &pilot["grid"];
    let rates = grid["set"]["recipe.learning_rate"].as_array().unwrap();
    let mut rows: Vec<(String, Vec<Rate>)> = Vec::new();
    for name in names(&grid["like"]) {
        let of = |rate: &toml::Value| {
            let rate = rate.as_float().unwrap();
            (
                rate,
                mean([
                    format!("{name}, learning_rate {rate}"),
                    if rate == 0.01 { name.clone() } else { String::new() },
                ]),
            )
        };
        rows.push((name.clone(), rates.iter().map(of).collect()));
    }
    for arm in [&pilot, &edges].into_iter().flat_map(|pilot| pilot["arms"].as_array().unwrap()) {
        let (name, own) = (arm["like"].as_str().unwrap(), arm["name"].as_str().unwrap());
        let rate = arm["set"]["recipe.learning_rate"].as_float().unwrap();
        let value = (rate, mean([own.to_owned(), String::new()]));
        match rows.iter_mut().find(|(row, _)| row == name) {
            Some((_, values)) => values.push(value),
            None => rows.push((name.to_owned(), vec![value])),
        }
    }
    let seeds: Vec<String> =
        (results.iter().flatten().flat_map(|result| result["seeds"].as_array().unwrap()))
            .map(|seed| seed.to_string())
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect();
    let mut text = format!(
        "| arm | rates | mean validation error, % (seeds run: {}) |\n|---|---|---|\n",
        if seeds.is_empty() { "none".to_owned() } else { seeds.join(", ") }
    );
    for (name, mut values) in rows {
        values.sort_by(|one, other| one.0.total_cmp(&other.0));
        let least = values.iter().filter_map(|value| value.1).min_by(f64::total_cmp);
        let mean = |value: &Rate| match value.1 {
            Some(mean) if Some(mean) == least => format!("**{mean:.2}**"),
            Some(mean) => format!("{mean:.2}"),
            None => "not run".to_owned(),
        };
        let means: Vec<String> = match least {
            None => vec!["not run".to_owned()],
            Some(_) => values.iter().map(mean).collect(),
        };
        let rates: Vec<String> = values.iter().map(|value| value.0.to_string()).collect();
        text += &format!("| `{name}` | {} | {} |\n", rates.join(", "), means.join(", "));
    }
    block(DOCUMENT, "rates", &text);
}
