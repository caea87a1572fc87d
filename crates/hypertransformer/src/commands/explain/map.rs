//! Episodes as points: the two directions in which their weights differ most (principal
//! components), and whether neighbours are of one kind.

use anyhow::{Result, anyhow};
use faer::{Mat, Side};

/// The first two principal components.
#[derive(Clone, Debug)]
pub(super) struct Plane {
    /// Where each episode lies.
    pub(super) points: Vec<[f64; 2]>,
    /// Share of the variance along each of the two directions, in [0, 1].
    pub(super) explained: [f64; 2],
}

impl Plane {
    /// The plane of weights that are given as one row per episode; none where they are all alike.
    pub(super) fn of(rows: &[Vec<f32>]) -> Result<Option<Self>> {
        let n = rows.len();
        let centred = centred(rows);
        // Episodes are fewer than weights: the small matrix of products has the same components.
        let products = &centred * centred.transpose();
        let total: f64 = (0..n).map(|i| products[(i, i)]).sum();
        if total <= f64::EPSILON || n < 3 {
            return Ok(None);
        }
        let eigen = products
            .self_adjoint_eigen(Side::Lower)
            .map_err(|cause| anyhow!("the weights have no principal components: {cause:?}"))?;
        // In ascending order.
        let component = |from_last: usize| {
            let at = n - 1 - from_last;
            let value = eigen.S()[at].max(0.0);
            let vector: Vec<f64> = (0..n).map(|i| eigen.U()[(i, at)] * value.sqrt()).collect();
            (value / total, oriented(vector))
        };
        let ((first, xs), (second, ys)) = (component(0), component(1));
        Ok(Some(Self {
            points: xs.into_iter().zip(ys).map(|(x, y)| [x, y]).collect(),
            explained: [first, second],
        }))
    }
}

/// With the farthest point on the positive side, so that the same weights give the same figure.
fn oriented(vector: Vec<f64>) -> Vec<f64> {
    let farthest = vector
        .iter()
        .fold(0.0f64, |far, &x| if x.abs() > far.abs() { x } else { far });
    if farthest >= 0.0 {
        return vector;
    }
    vector.into_iter().map(|x| -x).collect()
}

/// The weights less their means: a row per episode.
fn centred(rows: &[Vec<f32>]) -> Mat<f64> {
    let n_weights = rows.first().map_or(0, Vec::len);
    let mut mean = vec![0.0; n_weights];
    for row in rows {
        for (mean, &x) in mean.iter_mut().zip(row) {
            *mean += f64::from(x) / rows.len() as f64;
        }
    }
    let centre = |episode: usize, weight: usize| f64::from(rows[episode][weight]) - mean[weight];
    Mat::from_fn(rows.len(), n_weights, centre)
}

/// Share of the episodes whose nearest other episode, by all weights, is of the same group.
pub(super) fn nearest_of_same_group(rows: &[Vec<f32>], groups: &[usize]) -> f64 {
    let distance = |a: &[f32], b: &[f32]| -> f64 {
        let pairs = a.iter().zip(b);
        pairs.map(|(&a, &b)| f64::from(a - b).powi(2)).sum()
    };
    let of_same = (0..rows.len()).filter(|&i| {
        let others = (0..rows.len()).filter(|&j| j != i);
        let nearest = others
            .map(|j| (distance(&rows[i], &rows[j]), j))
            .min_by(|a, b| a.0.total_cmp(&b.0));
        nearest.is_some_and(|(_, j)| groups[i] == groups[j])
    });
    of_same.count() as f64 / rows.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_in_many_dimensions_has_one_direction() {
        let direction = [2.0f32, -1.0, 0.5, 0.0, 3.0];
        let at = [-2.0f32, -1.0, 0.0, 1.0, 4.0];
        let rows: Vec<Vec<f32>> = at
            .iter()
            .map(|t| direction.iter().map(|d| 7.0 + t * d).collect())
            .collect();
        let plane = Plane::of(&rows).expect("computed").expect("points");
        assert!((plane.explained[0] - 1.0).abs() < 1e-6, "{plane:?}");
        let length = direction.iter().map(|d| d * d).sum::<f32>().sqrt();
        for (point, t) in plane.points.iter().zip(at) {
            // The mean of `at` is 0.4; the farthest point is on the positive side.
            let expected = f64::from(length * (t - 0.4));
            assert!((point[0] - expected).abs() < 1e-4, "{plane:?}");
            assert!(point[1].abs() < 1e-3, "{plane:?}");
        }
    }

    #[test]
    fn distances_in_the_plane_are_those_of_two_dimensional_weights() {
        let rows = [
            vec![0.0, 0.0],
            vec![4.0, 1.0],
            vec![8.0, -1.0],
            vec![2.0, 3.0],
        ];
        let plane = Plane::of(&rows).expect("computed").expect("points");
        let placed: Vec<_> = rows.iter().zip(&plane.points).collect();
        for (at, (row, point)) in placed.iter().enumerate() {
            for (other, place) in &placed[..at] {
                let of_axis = |axis: usize| f64::from(row[axis] - other[axis]);
                let wide = f64::hypot(of_axis(0), of_axis(1));
                let flat = f64::hypot(point[0] - place[0], point[1] - place[1]);
                assert!((wide - flat).abs() < 1e-6, "{plane:?}");
            }
        }
    }

    #[test]
    fn equal_weights_have_no_plane() {
        assert!(
            Plane::of(&vec![vec![1.0, 2.0]; 5])
                .expect("asked")
                .is_none()
        );
    }

    #[test]
    fn neighbours_by_hand() {
        let rows = [vec![0.0], vec![1.0], vec![10.0], vec![11.5], vec![2.5]];
        assert!((nearest_of_same_group(&rows, &[0, 0, 1, 1, 1]) - 0.8).abs() < 1e-12);
    }
}
