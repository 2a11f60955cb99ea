//! Parts of documents that are made from committed JSON. `ALEXNET_BURN_WRITE=1 cargo test --workspace --test integration --
//! documents` writes them anew.

use serde_json::Value;

use crate::support::{golden, repository};

/// The report of an ablation, as `experiments report FOLDER --format json` prints it.
fn report(ablation: &str) -> Value {
    let path = repository(&format!("docs/figures/{ablation}.json"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// A text in a document between two marks replaced by another.
pub(crate) fn block(document: &str, name: &str, text: &str) {
    let whole = std::fs::read_to_string(repository(document)).unwrap();
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
    let (before, rest) = whole.split_once(&begin).expect("the first mark");
    let (_, after) = rest.split_once(&end).expect("the second mark");
    golden(document, &format!("{before}{begin}{text}{end}{after}"));
}

/// The mean difference of an arm and its adjusted interval.
fn interval(report: &Value, arm: &str) -> String {
    let arm = report["arms"].as_array().unwrap().iter().find(|it| it["name"] == arm).unwrap();
    let number = |value: &Value| format!("{:+.2}", value.as_f64().unwrap()).replace('-', "−");
    let difference = &arm["difference"];
    let [low, high] = [0, 1].map(|end| number(&difference["interval_adjusted"][end]));
    format!("{} [{low}, {high}]", number(&difference["mean"]))
}

/// What one arm costs, in a cell of a table.
fn cell(report: &Value, arm: &str) -> String {
    let interval = interval(report, arm);
    let arm = report["arms"].as_array().unwrap().iter().find(|it| it["name"] == arm).unwrap();
    let verdict = match &arm["verdict"] {
        Value::String(verdict) => verdict.replace('-', " "),
        _ => "undecided".to_owned(),
    };
    let ratio = arm["ratio"].as_f64().map_or(String::new(), |ratio| format!("{ratio:.1} times the epochs, "));
    let unit = if ratio.is_empty() { "" } else { " epochs" };
    format!("{ratio}{interval}{unit}, {} seeds: {verdict}", arm["difference"]["seeds"])
}

/// The statements of the audit that have a verdict.
fn decided() -> Vec<Value> {
    let audit: Value =
        serde_json::from_slice(&std::fs::read(repository("docs/audit.json")).unwrap()).unwrap();
    let statements = audit["statements"].as_array().unwrap().iter();
    statements.filter(|statement| statement["complete"] == true).cloned().collect()
}

/// The verdict of a statement of the audit, and whether the paper's figure is outside the interval.
fn verdict(statement: &Value) -> String {
    let (verdict, interval) = (statement["verdict"].as_str().unwrap(), &statement["adjusted_interval"]);
    let [low, high] = [0, 1].map(|end| interval[end].as_f64().unwrap());
    match statement["paper_difference"].as_f64() {
        Some(paper) if !(low..=high).contains(&paper) => {
            format!("{verdict}; the interval excludes the paper's figure")
        }
        _ => verdict.to_owned(),
    }
}

/// A difference of the audit with its adjusted interval, as a ratio where it is that of logarithms.
fn found(statement: &Value) -> String {
    let number = |value: &Value| value.as_f64().unwrap();
    let interval = &statement["adjusted_interval"];
    let values = [number(&statement["difference"]), number(&interval[0]), number(&interval[1])];
    if statement["unit"] == "ln steps" {
        let [mean, low, high] = values.map(f64::exp);
        return format!("{mean:.1} times the steps [{low:.1}, {high:.1}]");
    }
    let [mean, low, high] = values.map(|value| format!("{value:+.2}").replace('-', "−"));
    format!("{mean} [{low}, {high}]")
}

#[test]
fn the_findings_have_the_verdicts_of_the_audit() {
    let mut text = "| § | statement | the paper | here | verdict |\n|---|---|---|---|---|\n".to_owned();
    for statement in decided() {
        let word = |key: &str| statement[key].as_str().unwrap().to_owned();
        text.push_str(&format!(
            "| {} | {} | {} | {}, {} seeds at `{}` | {} |\n",
            word("section"),
            word("text"),
            word("paper"),
            found(&statement),
            statement["seeds"],
            word("setting"),
            verdict(&statement)
        ));
    }
    block("docs/findings.md", "verdicts", &text);
}

/// The steps that the pilot of figure 1 counted, in the text of the findings.
#[test]
fn the_findings_have_the_steps_of_the_pilot() {
    let bytes = std::fs::read(repository("experiments/pilots/figure-1.json")).unwrap();
    let pilot: Value = serde_json::from_slice(&bytes).unwrap();
    let steps = |arm: &str| -> Vec<f64> {
        let arm = pilot["arms"].as_array().unwrap().iter().find(|it| it["name"] == arm).unwrap();
        arm["values"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
    };
    let (relu, tanh) = (steps("relu 0.002"), steps("tanh 0.002"));
    let thousands = |ln: f64| {
        let steps = ln.exp().round() as u32;
        format!("{},{:03}", steps / 1000, steps % 1000)
    };
    let first = format!(
        "{} steps with ReLUs and {} with tanh: {:.1} times",
        thousands(relu[0]),
        thousands(tanh[0]),
        (tanh[0] - relu[0]).exp()
    );
    let best = [steps("relu 0.004"), steps("tanh 0.032")];
    let ratios: Vec<f64> = best[0].iter().zip(&best[1]).map(|(relu, tanh)| tanh - relu).collect();
    let mean = (ratios.iter().sum::<f64>() / ratios.len() as f64).exp();
    let each: Vec<String> = ratios.iter().map(|ratio| format!("{:.1}", ratio.exp())).collect();
    let second = format!(
        "{mean:.1} times as many with tanh ({}, {} and {}; geometric mean)",
        each[0], each[1], each[2]
    );
    let findings = std::fs::read_to_string(repository("docs/findings.md")).unwrap();
    let findings = findings.split_whitespace().collect::<Vec<_>>().join(" ");
    for text in [first, second] {
        assert!(findings.contains(&text), "docs/findings.md lacks: {text}");
    }
}

#[test]
fn the_readme_has_the_four_questions_as_they_were_measured() {
    let rows = [
        ("Without LRN (§3.3)", "+1.4", "148: +1.37", "lrn", "off", "ablation lrn --until-decided"),
        (
            "Pooling 2/2 (window/stride) instead of 3/2 (§3.4)",
            "+0.4",
            "147: +0.39",
            "pooling",
            "2/2",
            "ablation pooling",
        ),
        (
            "One tower of half the kernels (§3.2)",
            "+1.7",
            "145-half: +1.7",
            "towers",
            "half",
            "ablation towers --until-decided",
        ),
        (
            "Two towers without exchange (§3.2)",
            "–",
            "150: +1.2",
            "towers",
            "apart",
            "ablation towers --until-decided",
        ),
    ];
    let mut text = "| change | paper | authors' run | here | command |\n|---|---|---|---|---|\n".to_owned();
    let relu = decided().into_iter().find(|statement| statement["id"] == "relu").unwrap();
    let (setting, verdict) = (relu["setting"].as_str().unwrap(), verdict(&relu));
    text.push_str(&format!(
        "| tanh instead of ReLU (§3.1) | 6 times the epochs | no such run | {} at `{setting}`, {} seeds: {verdict} | \
         `experiments audit --only {setting}` |\n",
        found(&relu),
        relu["seeds"],
    ));
    for (change, paper, authors, ablation, arm, command) in rows {
        let here = cell(&report(ablation), arm);
        text.push_str(&format!("| {change} | {paper} | {authors} | {here} | `experiments {command}` |\n"));
    }
    block("README.md", "four questions", &text);

    let audit = std::fs::read_to_string(repository("docs/authors-code.md")).unwrap();
    for (.., ablation, arm, _) in rows {
        let interval = interval(&report(ablation), arm);
        let own = |row: &&str| row.contains(&format!("`ablation {ablation}`"));
        assert!(
            audit.lines().filter(own).any(|row| row.contains(&interval)),
            "docs/authors-code.md: {arm} {interval}"
        );
    }
}
