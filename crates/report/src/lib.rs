//! What a study found: tables for terminals, JSON, CSV and a page to look at.

mod curves;
mod files;
mod labels;
mod page;
mod power;
mod report;
mod table;

pub use page::{Page, Section};
pub use power::Power;
pub use report::{ArmReport, Report};
