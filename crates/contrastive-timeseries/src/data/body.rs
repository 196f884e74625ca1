//! The body of 22 joints, and orientations of its bones.

use super::error::SeriesError;
use ndarray::{Array3, ArrayView3};

/// Number of joints.
pub const JOINTS: usize = 22;

/// The joints in UniMTS's order, depth first.
pub const JOINT_NAMES: [&str; JOINTS] = [
    "pelvis",
    "left hip",
    "left knee",
    "left ankle",
    "left foot",
    "right hip",
    "right knee",
    "right ankle",
    "right foot",
    "lower spine",
    "middle spine",
    "chest",
    "neck",
    "head",
    "left collar",
    "left shoulder",
    "left elbow",
    "left wrist",
    "right collar",
    "right shoulder",
    "right elbow",
    "right wrist",
];

/// The joint that each joint hangs on; the pelvis is its own.
pub const PARENTS: [usize; JOINTS] = [0, 0, 1, 2, 3, 0, 5, 6, 7, 0, 9, 10, 11, 12, 11, 14, 15, 16, 11, 18, 19, 20];

/// For each joint its place in HumanML3D's files (the order of SMPL).
const HUMANML3D: [usize; JOINTS] = [0, 1, 4, 7, 10, 2, 5, 8, 11, 3, 6, 9, 12, 15, 13, 16, 18, 20, 14, 17, 19, 21];

/// Where each joint lies from its parent in the rest pose: y up, z ahead, x to the left.
const REST: [[f64; 3]; JOINTS] = {
    let (up, down, ahead, left, right) =
        ([0.0, 1.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]);
    [
        up, left, down, down, ahead, right, down, down, ahead, up, up, up, up, up, left, left, down, down, right,
        right, down, down,
    ]
};

/// The 21 bones, child and parent.
pub fn bones() -> Vec<[usize; 2]> {
    (1..JOINTS).map(|joint| [joint, PARENTS[joint]]).collect()
}

/// Positions `[L, 22, 3]` in the order of HumanML3D's `new_joints` files, in the order here.
///
/// # Errors
/// When there are other joints or axes.
pub fn from_humanml3d(positions: ArrayView3<'_, f32>) -> Result<Array3<f32>, SeriesError> {
    let (length, joints, axes) = positions.dim();
    if (joints, axes) != (JOINTS, 3) {
        return Err(SeriesError::series(format!(
            "positions of {joints} joints in {axes} axes; 22 joints in 3 are read"
        )));
    }
    Ok(Array3::from_shape_fn((length, JOINTS, 3), |(t, joint, axis)| positions[[t, HUMANML3D[joint], axis]]))
}

/// A vector.
pub(crate) type Vector = [f64; 3];
/// Rows of a matrix.
pub(crate) type Matrix = [[f64; 3]; 3];

pub(crate) const IDENTITY: Matrix = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];

pub(crate) fn dot(a: Vector, b: Vector) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn cross(a: Vector, b: Vector) -> Vector {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

pub(crate) fn minus(a: Vector, b: Vector) -> Vector {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

fn unit(a: Vector) -> Option<Vector> {
    let length = dot(a, a).sqrt();
    (length > 1e-9).then(|| a.map(|v| v / length))
}

pub(crate) fn times(m: &Matrix, v: Vector) -> Vector {
    [dot(m[0], v), dot(m[1], v), dot(m[2], v)]
}

pub(crate) fn transposed(m: &Matrix) -> Matrix {
    std::array::from_fn(|r| std::array::from_fn(|c| m[c][r]))
}

pub(crate) fn product(a: &Matrix, b: &Matrix) -> Matrix {
    let b = transposed(b);
    std::array::from_fn(|r| std::array::from_fn(|c| dot(a[r], b[c])))
}

/// The rotation about a unit axis.
pub(crate) fn about(axis: Vector, angle: f64) -> Matrix {
    let (s, c) = angle.sin_cos();
    let [x, y, z] = axis;
    let k = 1.0 - c;
    [
        [c + x * x * k, x * y * k - z * s, x * z * k + y * s],
        [y * x * k + z * s, c + y * y * k, y * z * k - x * s],
        [z * x * k - y * s, z * y * k + x * s, c + z * z * k],
    ]
}

/// The smallest rotation that takes one unit vector to another.
fn between(from: Vector, to: Vector) -> Matrix {
    let axis = cross(from, to);
    match unit(axis) {
        Some(direction) => about(direction, dot(axis, axis).sqrt().atan2(dot(from, to))),
        None if dot(from, to) > 0.0 => IDENTITY,
        // opposite: half a turn about anything perpendicular
        None => {
            let other = if from[0].abs() < 0.9 { [1.0, 0.0, 0.0] } else { [0.0, 1.0, 0.0] };
            about(unit(cross(from, other)).unwrap_or([0.0, 0.0, 1.0]), std::f64::consts::PI)
        }
    }
}

/// The rotation vector of a rotation: its axis times its angle, at most pi.
pub(crate) fn rotation_vector(m: &Matrix) -> Vector {
    // the quaternion, from its largest part
    let trace = m[0][0] + m[1][1] + m[2][2];
    let squares = [1.0 + trace, 1.0 + 2.0 * m[0][0] - trace, 1.0 + 2.0 * m[1][1] - trace, 1.0 + 2.0 * m[2][2] - trace];
    let most = (0..4).fold(0, |best, k| if squares[k] > squares[best] { k } else { best });
    let [a, b, c] = [m[2][1] - m[1][2], m[0][2] - m[2][0], m[1][0] - m[0][1]];
    let [d, e, f] = [m[1][0] + m[0][1], m[2][0] + m[0][2], m[2][1] + m[1][2]];
    let q = match most {
        0 => [squares[0], a, b, c],
        1 => [a, squares[1], d, e],
        2 => [b, d, squares[2], f],
        _ => [c, e, f, squares[3]],
    };
    let sign = if q[0] < 0.0 { -1.0 } else { 1.0 };
    let v = [q[1] * sign, q[2] * sign, q[3] * sign];
    let length = dot(v, v).sqrt();
    match unit(v) {
        Some(axis) => axis.map(|x| x * 2.0 * length.atan2(q[0].abs())),
        None => [0.0; 3],
    }
}

/// The orientation of every joint's bone, sensor to world, from the positions `[22]` of one frame: that of the pelvis from hips and spine, each
/// other one its parent's, turned as little as needed to bring the bone to its next joint from the rest pose to where it is. Joints at an
/// end, and bones of length 0, have their parent's.
pub(crate) fn orientations(positions: &[Vector; JOINTS]) -> [Matrix; JOINTS] {
    let mut all = [IDENTITY; JOINTS];
    let left = unit(minus(positions[1], positions[5]));
    let spine = minus(positions[9], positions[0]);
    if let Some(x) = left {
        let along = dot(spine, x);
        if let Some(y) = unit(minus(spine, x.map(|v| v * along))) {
            let z = cross(x, y);
            all[0] = transposed(&[x, y, z]);
        }
    }
    for joint in 1..JOINTS {
        let parent = all[PARENTS[joint]];
        // the first joint that hangs on this one
        let next = (joint + 1..JOINTS).find(|&next| PARENTS[next] == joint);
        let bone = next.and_then(|next| Some((next, unit(minus(positions[next], positions[joint]))?)));
        all[joint] = match bone {
            Some((next, direction)) => product(&between(times(&parent, REST[next]), direction), &parent),
            None => parent,
        };
    }
    all
}

/// A body in the rest pose with bones of these lengths in metres (22, that of the pelvis without meaning), the pelvis at `height`: for tests
/// and examples. Turned bone by bone by `turns` (world frames, from the root on; identity where a bone rests).
pub(crate) fn posed(lengths: &[f64; JOINTS], pelvis: Vector, turns: &[Matrix; JOINTS]) -> [Vector; JOINTS] {
    let (mut positions, mut frames) = ([pelvis; JOINTS], [turns[0]; JOINTS]);
    for joint in 1..JOINTS {
        let parent = PARENTS[joint];
        frames[joint] = product(&frames[parent], &turns[joint]);
        let offset = times(&frames[parent], REST[joint].map(|v| v * lengths[joint]));
        positions[joint] = std::array::from_fn(|axis| positions[parent][axis] + offset[axis]);
    }
    positions
}
