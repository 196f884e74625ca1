//! Parts of published vision systems: SepCLR's terms, BECLR's memory, loss and transport, AdaInf's mixture of sources.

mod beclr;
mod mixed;
mod sep_clr;
