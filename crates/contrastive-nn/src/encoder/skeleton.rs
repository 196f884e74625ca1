//! Graphs of joints, split in parts.

use crate::SettingError;
use crate::error::Check;
use burn::tensor::{Tensor, TensorData};
use std::collections::VecDeque;

/// How the neighbours of a joint are split (Yan et al. 2018, section 3.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Partition {
    /// All together: one part.
    Uniform,
    /// The joint itself, and its neighbours: two parts.
    Distance,
    /// The joint itself; neighbours that are as far from the centre as it or further; those that are nearer: three parts.
    #[default]
    Spatial,
}

/// Joints and bones, as [`StGcn`](super::StGcn) takes them: the adjacency with loops, each column divided by its sum, split in parts. Rows
/// are where a number comes from, columns where it goes.
#[derive(Clone, Debug, PartialEq)]
pub struct SkeletonGraph {
    joints: usize,
    /// `[K, V, V]`.
    parts: Vec<f64>,
}

impl SkeletonGraph {
    /// From bones between joints below `joints`, with the joint in the middle of the body. With `reference` distances from the centre above
    /// one bone count as infinite, hence equal, as in ST-GCN's released code, whose weights expect it.
    ///
    /// # Errors
    /// When there are no joints, a bone or the centre names another, or a joint is not connected with the centre.
    pub fn new(
        joints: usize,
        bones: &[[usize; 2]],
        centre: usize,
        partition: Partition,
        reference: bool,
    ) -> Result<Self, SettingError> {
        let check = Check::new("skeleton");
        check.count("joints", joints)?;
        check.that(centre < joints, "centre", centre, format!("below the number of joints {joints}"))?;
        let mut near = vec![Vec::new(); joints];
        for &[a, b] in bones {
            let most = a.max(b);
            check.that(most < joints, "joint of a bone", most, format!("below the number of joints {joints}"))?;
            near[a].push(b);
            near[b].push(a);
        }
        let (mut distance, mut queue) = (vec![usize::MAX; joints], VecDeque::from([centre]));
        distance[centre] = 0;
        while let Some(at) = queue.pop_front() {
            for &next in &near[at] {
                if distance[next] == usize::MAX {
                    distance[next] = distance[at] + 1;
                    queue.push_back(next);
                }
            }
        }
        if let Some(apart) = distance.iter().position(|d| *d == usize::MAX) {
            check.that(false, "joint", apart, "connected with the centre by bones")?;
        }
        if reference {
            distance.iter_mut().filter(|d| **d > 1).for_each(|d| *d = usize::MAX);
        }
        let count = match partition {
            Partition::Uniform => 1,
            Partition::Distance => 2,
            Partition::Spatial => 3,
        };
        let mut parts = vec![0.0; count * joints * joints];
        for to in 0..joints {
            near[to].sort_unstable();
            near[to].dedup();
            near[to].retain(|from| *from != to);
            let share = 1.0 / (near[to].len() + 1) as f64;
            for from in near[to].iter().copied().chain([to]) {
                let part = match partition {
                    Partition::Uniform => 0,
                    _ if from == to => 0,
                    Partition::Distance => 1,
                    Partition::Spatial => 1 + usize::from(distance[from] < distance[to]),
                };
                parts[(part * joints + from) * joints + to] = share;
            }
        }
        Ok(Self { joints, parts })
    }

    /// Number of joints, V.
    pub fn joints(&self) -> usize {
        self.joints
    }

    /// Number of parts, K.
    pub fn parts(&self) -> usize {
        self.parts.len() / (self.joints * self.joints)
    }

    /// The parts `[K, V, V]`, row-major.
    pub fn values(&self) -> &[f64] {
        &self.parts
    }

    /// `[K, V, V]`, on the device, in the type and on the side of autodiff of another tensor.
    pub fn tensor<const D: usize>(&self, like: &Tensor<D>) -> Tensor<3> {
        let data = TensorData::new(self.parts.clone(), [self.parts(), self.joints, self.joints]);
        Tensor::from_data(data.convert_dtype(like.dtype()), (&like.device(), like.dtype()))
    }
}
