use std::path::Path;

use crate::TrainError;

/// Calls [`alexnet_data::atomic_write()`] and names the file in the error.
pub(crate) fn atomic_write(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    alexnet_data::atomic_write(path, bytes).map_err(TrainError::write(path))
}
