//! placeholder
use crate::Stage;
/// built-in
pub static STAGES: &[Stage] = &[];
