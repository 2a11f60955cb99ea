//! The labels of images.

use serde::{Deserialize, Serialize};

/// A class, with its identifier in files and its common name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Class {
    /// The folder's name. For ImageNet, the WordNet id.
    pub id: String,
    /// The common name, or the id if no name is known.
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
