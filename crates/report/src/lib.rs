//! The results of a study: tables for terminals, JSON, CSV and a page.

mod audit;
mod chart;
mod curves;
mod error;
mod figure;
mod figures_page;
mod files;
mod forest;
mod label_efficiency;
mod page;
mod power;
mod predictions;
mod report;
mod run;
mod single;
mod table;

pub use audit::{AuditReport, Comparison, DesignFile, SettingReport, StatementReport};
pub use error::ReportError;
pub use figure::{Anchor, Curve, FIGURE_COLOURS, Figure, FigureError, FinishedFigure, Picture};
pub use figures_page::figures_page;
pub use page::{Page, Section};
pub use power::Power;
pub use predictions::{PredictedImage, predictions_page};
pub use report::{ArmReport, Report};
pub use single::{Confusion, RunsPage, SingleRun};
