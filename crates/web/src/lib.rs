//! The project in a page: networks that train or look at images in a Web Worker, compiled to WebAssembly.
//!
//! `web/build.sh` compiles the crate twice. The module `race` trains ([`race`]); the module `look` reads photographs and files
//! of weights ([`look`]). Each worker has its own instance and its own memory. `web/js/module.js` is the other side of
//! [`exports`].

#[cfg(feature = "race")]
pub mod catalogue;
#[cfg(feature = "race")]
pub mod compare;
pub mod exports;
#[cfg(feature = "look")]
pub mod look;
#[cfg(feature = "race")]
pub mod race;
mod random;
mod squares;

use std::error::Error;

/// The answer to a request: JSON, and numbers that would be slow as text.
#[derive(Debug, Default)]
pub struct Answer {
    /// JSON.
    pub text: String,
    /// The arrays that the text describes, one after the other.
    pub floats: Vec<f32>,
}

impl Answer {
    /// Writes a value as JSON.
    ///
    /// # Errors
    /// If JSON cannot hold it.
    pub fn of(value: &impl serde::Serialize, floats: Vec<f32>) -> Result<Self, serde_json::Error> {
        Ok(Self { text: serde_json::to_string(value)?, floats })
    }
}

/// The answer, or an error whose text is one line for the reader of the page.
pub type Answered = Result<Answer, Box<dyn Error>>;
