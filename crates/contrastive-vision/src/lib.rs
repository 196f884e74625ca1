//! Self-supervised image embeddings: SimCLR, MoCo, SimSiam, BYOL, Barlow Twins, VICReg, DCL and SwAV, end to end.
