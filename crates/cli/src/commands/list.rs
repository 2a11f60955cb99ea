//! `experiments list`.

use alexnet_config::BuiltIn;
use alexnet_model::Preset;
use alexnet_ops::Backend;
use alexnet_study::{Ablation, Audit, Registration, Scale};
use anyhow::Result;

use crate::data_sets::{find_data, manifest, with_files};
use crate::output::print;
use crate::program::program;
use crate::remedies::describe;
use crate::trained;

/// `experiments list`.
pub(crate) fn list() {
    let lines = |title: &str, files: &[BuiltIn], about: fn(&BuiltIn) -> Result<String>| {
        print(title);
        for file in files {
            let about = about(file).unwrap_or_else(|error| format!("{error:#}"));
            print(&format!("  {:<25} {about}", file.name));
        }
    };
    lines("ablations", program().ablations, |file| {
        Ok(Ablation::load(program().ablations, file.name)?.question)
    });
    lines("\naudits", program().audits, |file| {
        Ok(Audit::load(program().audits, program().designs, file.name)?.0.about)
    });
    lines("\ndesigns of audits", program().designs, |file| {
        let design = Registration::load(program().designs, file.name)?;
        Ok(format!(
            "{} at {}, {} seeds from {}",
            design.ablation, design.scale, design.seeds, design.first_seed
        ))
    });
    lines("\nscales", program().scales, |file| Ok(Scale::load(program().scales, file.name)?.about));
    // A network file's first comment describes it.
    lines("\npresets (networks)", Preset::ALL, |file| {
        let first = file.toml.lines().next();
        Ok(first.and_then(|line| line.strip_prefix("# ")).unwrap_or_default().to_owned())
    });
    print("\ntrained weights");
    for name in trained::names() {
        let about = trained::about(&name).unwrap_or_default();
        print(&format!("  {name:<25} {about}"));
    }
    print("\nbackends in this build");
    for backend in Backend::in_this_build() {
        let state = match backend.device() {
            Ok(_) => "ready".to_owned(),
            Err(error) => describe(&error.into()),
        };
        print(&format!("  {:<25} {state}", backend.name()));
    }
    print("\ndata sets");
    for file in program().data_sets {
        let state = match manifest(file.name) {
            Ok(manifest) => match find_data(&manifest) {
                Some(path) => format!("here: {}", path.display()),
                None if with_files(&manifest).is_ok_and(|manifest| manifest.files.is_empty()) => {
                    "not here; give it with `--data`".to_owned()
                }
                None => format!("not here; `experiments data fetch {}`", file.name),
            },
            Err(error) => format!("{error:#}"),
        };
        print(&format!("  {:<25} {state}", file.name));
    }
}
