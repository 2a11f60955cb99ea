//! Predictions as text, JSON, CSV or a page.

use alexnet_report::{PredictedImage, predictions_page};
use anyhow::Result;
use serde::Serialize;

use crate::args::PredictFormat;
use crate::output::{print, put};

/// The predictions of a network for one photograph.
#[derive(Debug, Serialize)]
pub(super) struct Prediction {
    pub(super) image: String,
    pub(super) top: Vec<Guess>,
}

/// A class with its probability.
#[derive(Debug, Serialize)]
pub(super) struct Guess {
    pub(super) index: usize,
    pub(super) label: String,
    pub(super) probability: f32,
}

/// Predictions on their way to standard output. Text and CSV are written as they come.
pub(super) struct Shown {
    format: PredictFormat,
    /// Those that are written at the end.
    kept: Vec<Prediction>,
}

impl Shown {
    pub(super) fn begin(format: PredictFormat) -> Self {
        if format == PredictFormat::Csv {
            print("image,rank,index,label,probability");
        }
        Self { format, kept: Vec::new() }
    }

    pub(super) fn add(&mut self, prediction: Prediction) {
        match self.format {
            PredictFormat::Text => {
                print(&prediction.image);
                for guess in &prediction.top {
                    print(&format!("  {:6.2} %  {}", 100.0 * guess.probability, guess.label));
                }
            }
            PredictFormat::Csv => prediction.top.iter().enumerate().for_each(|(rank, guess)| {
                let [image, label] = [&prediction.image, &guess.label].map(|text| quoted(text));
                print(&format!("{image},{},{},{label},{}", rank + 1, guess.index, guess.probability));
            }),
            PredictFormat::Json | PredictFormat::Html => self.kept.push(prediction),
        }
    }

    pub(super) fn end(self) -> Result<()> {
        match self.format {
            PredictFormat::Json => print(&serde_json::to_string_pretty(&self.kept)?),
            PredictFormat::Html => {
                let images = self.kept.into_iter().map(|Prediction { image, top }| PredictedImage {
                    image,
                    top: top.into_iter().map(|guess| (guess.label, f64::from(guess.probability))).collect(),
                });
                put(&predictions_page(&images.collect::<Vec<_>>()));
            }
            PredictFormat::Text | PredictFormat::Csv => {}
        }
        Ok(())
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}
