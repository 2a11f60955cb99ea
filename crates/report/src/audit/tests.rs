use alexnet_config::BuiltIn;
use alexnet_study::statistics::Difference;

use super::*;
use crate::curves::tests::report;

const DESIGN: &str = r#"
    name = "d"
    about = "Chosen for a test."
    scale = "mini"
    ablation = "lrn"
    quantity = "test-error"
    seeds = 4
    first_seed = 10000
    diverged = "leave-out-pair"
    base_rate = 0.004
    arms = [{ name = "off", rate = 0.004, delta = 0.5, pilot_sd = 0.4 }]
"#;

const AUDIT: &str = r#"
    name = "a"
    about = "A test"
    [[statements]]
    id = "lrn"
    section = "§3.3"
    text = "Without | it is worse."
    paper = "+1.4"
    paper_difference = 1.0
    design = "d"
    arm = "off"
    direction = "higher"
    [[statements]]
    id = "views"
    section = "§6"
    text = "One view is worse."
    paper = "+1.5"
    untested = "No <images>."
"#;

fn loaded() -> (Audit, BTreeMap<String, Registration>) {
    let (audits, designs) = (&[BuiltIn { name: "a", toml: AUDIT }], &[BuiltIn { name: "d", toml: DESIGN }]);
    Audit::load(audits, designs, "a").unwrap()
}

/// An audit of one study with these paired differences.
fn audited(pairs: &[f64]) -> AuditReport {
    let (audit, designs) = loaded();
    let mut report = report(&["on", "off"], 1);
    report.arms[0].values = pairs.iter().enumerate().map(|(seed, _)| Some(10.0 + seed as f64)).collect();
    report.arms[1].values =
        pairs.iter().enumerate().map(|(seed, pair)| Some(10.0 + seed as f64 + pair)).collect();
    report.arms[1].difference = Difference::of(pairs, 0.5, 0.05);
    report.arms[1].interim = pairs.len() < 4;
    let commits = BTreeMap::from([("d".to_owned(), "abc".to_owned())]);
    AuditReport::of(&audit, &designs, &commits, &BTreeMap::from([("d".to_owned(), report)]))
}

#[test]
fn verdicts_are_in_the_statements_direction() {
    for (pairs, verdict) in [
        ([1.0, 1.1, 0.9, 1.2], "same direction"),
        ([-1.0, -1.1, -0.9, -1.2], "opposite direction"),
        ([0.1, -0.1, 0.05, -0.02], "smaller than delta"),
        ([2.0, -2.0, 1.0, 0.0], "undecided"),
    ] {
        let found = audited(&pairs);
        assert_eq!(found.statements[0].verdict(), verdict, "{pairs:?}");
        let comparison = found.statements[0].comparison.as_ref().unwrap();
        assert_eq!((comparison.seeds, comparison.left_out), (4, 0));
        assert_eq!(comparison.false_discovery_rate, comparison.p);
    }
}

#[test]
fn an_arm_is_compared_with_its_own_reference() {
    let (audit, designs) = loaded();
    let mut report = report(&["on", "off", "half"], 1);
    for (arm, value) in report.arms.iter_mut().zip([10.0, 12.0, 11.0]) {
        arm.values = vec![Some(value); 4];
    }
    report.arms[1].difference = Difference::of(&[1.0, 1.1, 0.9, 1.2], 0.5, 0.05);
    report.arms[1].against = Some("half".to_owned());
    let found =
        AuditReport::of(&audit, &designs, &BTreeMap::new(), &BTreeMap::from([("d".to_owned(), report)]));
    let comparison = found.statements[0].comparison.as_ref().unwrap();
    assert_eq!((comparison.base.as_str(), comparison.base_value), ("half", Some([11.0, 0.0])));
}

#[test]
fn there_is_no_verdict_before_all_registered_seeds_ended() {
    let found = audited(&[1.0, 1.1, 0.9]);
    assert_eq!(found.statements[0].verdict(), "not complete");
    let comparison = found.statements[0].comparison.as_ref().unwrap();
    assert_eq!((comparison.verdict.as_str(), comparison.complete), ("undecided", false));
    assert_eq!((comparison.difference, comparison.p, comparison.adjusted_interval), (None, None, None));
    assert_eq!((comparison.base_value, comparison.arm_value, comparison.correlation), (None, None, None));
    assert!(found.markdown().contains("3 of 4 so far"), "{}", found.markdown());
}

#[test]
fn json_holds_what_the_texts_are_made_of() {
    let found = audited(&[1.0, 1.1, 0.9, 1.2]);
    let json = serde_json::to_string(&found).unwrap();
    let read: AuditReport = serde_json::from_str(&json).unwrap();
    assert_eq!(read.markdown(), found.markdown());
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    let (tested, untested) = (&value["statements"][0], &value["statements"][1]);
    // By Python: statistics.correlation([10, 11, 12, 13], [11, 12.1, 12.9, 14.2]).
    assert!((tested["correlation"].as_f64().unwrap() - 0.99613933663).abs() < 1e-9);
    for key in [
        "id",
        "section",
        "setting",
        "ablation",
        "arm",
        "seeds",
        "design",
        "difference",
        "interval",
        "adjusted_interval",
        "training_error",
        "verdict",
    ] {
        assert!(tested.get(key).is_some(), "no `{key}` in {tested}");
    }
    assert!(untested.get("verdict").is_none() && untested["untested"] == "No <images>.");
}

#[test]
fn texts_are_escaped_and_have_all_statements() {
    let found = audited(&[1.0, 1.1, 0.9, 1.2]);
    let markdown = found.markdown();
    assert!(
        markdown.contains("Without \\| it is worse.") && markdown.contains("**same direction**"),
        "{markdown}"
    );
    assert!(
        markdown.contains("`d` abc") && markdown.contains("§6, One view is worse. No <images>."),
        "{markdown}"
    );
    let html = found.html(Path::new("/nowhere"));
    assert!(html.contains("not tested: No &lt;images&gt;.") && html.contains("href='#lrn'"), "{html}");
    assert!(html.contains("the paper: +1.4") && !html.contains("NaN"), "{html}");
    assert!(found.text().contains("same direction"), "{}", found.text());
}
