//! When labels are wrong, or images are not what they should be.
//!
//! | I have ... | use ... |
//! |---|---|
//! | images with labels from the web, some foreign, some wrong | [`lsa`]: a classifier that finds them while it learns |
//! | a recipe to pre-train an encoder on images that nobody looked at | [`audit`]: what a poisoned share would do to it, and who would notice |

pub mod audit;
pub mod lsa;
