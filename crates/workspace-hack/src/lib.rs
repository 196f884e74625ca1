//! Nothing but dependencies: the features that the crates of the workspace ask for together, so that each of them built alone meets the same
//! builds of what they share.
