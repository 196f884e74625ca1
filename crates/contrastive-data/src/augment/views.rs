//! The views of an image, and the generator of each.

use super::{AugmentError, Augmentation, View};
use crate::image::ImageSet;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};

/// Several recipes: the views of each image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Views {
    /// One for each view.
    pub each: Vec<Augmentation>,
}

/// The generator of one view of one image in one epoch, whoever asks and in whatever order.
pub fn view_rng(seed: u64, epoch: u64, image: u64, view: u64) -> ChaCha8Rng {
    // SplitMix64, once for each number
    let mix = |state: u64, number: u64| {
        let mut z = state.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let mut rng = ChaCha8Rng::seed_from_u64(mix(mix(mix(0, seed), epoch), image));
    rng.set_stream(view);
    rng
}

impl Views {
    /// Two views by one recipe.
    pub fn two(recipe: Augmentation) -> Self {
        Self { each: vec![recipe.clone(), recipe] }
    }

    /// `large` views by one recipe, then `small` ones by another (SwAV's multi-crop: 2 and 6).
    pub fn multi_crop([large, small]: [Augmentation; 2], counts: [usize; 2]) -> Self {
        let mut each = vec![large; counts[0]];
        each.extend(vec![small; counts[1]]);
        Self { each }
    }

    /// Number of views.
    pub fn len(&self) -> usize {
        self.each.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.each.is_empty()
    }

    /// Checks all on images of this height and width; gives the warnings.
    ///
    /// # Errors
    /// With the step and the setting that is out of range; when there is no view.
    pub fn validate(&self, from: [usize; 2]) -> Result<Vec<String>, AugmentError> {
        if self.is_empty() {
            let allowed = "one view or more".into();
            return Err(AugmentError { step: "views", setting: "number", value: "0".into(), allowed });
        }
        let mut notes = Vec::new();
        for recipe in &self.each {
            notes.extend(recipe.validate(from)?);
        }
        notes.dedup();
        Ok(notes)
    }

    /// View `view` of an image of a set, in an epoch of a run.
    ///
    /// # Panics
    /// When there is no such image or view, or the steps do not fit (see [`validate`](Self::validate)).
    pub fn make(&self, set: &ImageSet, image: usize, view: usize, seed: u64, epoch: u64) -> View {
        let mut rng = view_rng(seed, epoch, image as u64, view as u64);
        self.each[view].apply(set.picture(image), &mut rng)
    }
}
