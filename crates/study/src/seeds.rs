//! Which seeds a study has.

/// The seeds of a study: consecutive numbers, from 0 unless [`starting_at`](Self::starting_at) says otherwise.
#[derive(Debug, Clone, Copy)]
pub struct Seeds {
    pub(crate) first: u64,
    pub(crate) most: usize,
    pub(crate) until_decided: bool,
}

impl Seeds {
    /// A fixed number of seeds.
    pub fn fixed(number: usize) -> Self {
        Self { first: 0, most: number, until_decided: false }
    }

    /// As many seeds as needed, with looks that are fixed in advance. The last look has `most` seeds.
    pub fn until_decided(most: usize) -> Self {
        Self { first: 0, most, until_decided: true }
    }

    /// The same number of seeds, counted from `first`. Seeds on which settings were chosen give no independent verdict.
    pub fn starting_at(self, first: u32) -> Self {
        Self { first: first.into(), ..self }
    }
}
