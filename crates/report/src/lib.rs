//! The results of a study: tables for terminals, JSON, CSV and a page.

mod curves;
mod files;
mod labels;
mod page;
mod power;
mod report;
mod run;
mod table;

pub use page::{Page, Section};
pub use power::Power;
pub use report::{ArmReport, Report};
