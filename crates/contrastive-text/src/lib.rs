//! Sentence embeddings, code search and contrastive decoding: SimCSE, WhitenedCSE, DebCSE, CoCoSoDa, SimCTG and contrastive search.
