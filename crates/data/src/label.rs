//! What an image is labelled with.

use serde::{Deserialize, Serialize};

/// A class: what files call it, and what people do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Class {
    /// A folder's name; of ImageNet's, the WordNet id.
    pub id: String,
    /// The same where nothing better is known.
    pub name: String,
}

impl Class {
    pub(crate) fn unnamed(id: impl Into<String>) -> Self {
        let id = id.into();
        Self { name: id.clone(), id }
    }
}

/// A box around an object: left, top, right and bottom in pixels.
pub type BoundingBox = [f32; 4];
