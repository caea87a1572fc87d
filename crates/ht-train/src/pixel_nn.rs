//! The floor under every result: the label of the nearest support image, by pixels.

use ht_episodes::{EpisodePlan, ImageSet, PlannedImage};

/// Accuracy of nearest neighbour by Euclidean distance between the pixels, in [0, 1].
///
/// Unlabelled support images are not used.
pub fn pixel_nearest_neighbour(images: &ImageSet, plan: &EpisodePlan) -> f64 {
    let pixels = |planned: PlannedImage| {
        let bytes = images.image(planned.class, planned.image);
        let standing = planned.orientation().apply(bytes, images.shape());
        planned.label.map(|label| (label, standing.into_owned()))
    };
    let support: Vec<(usize, Vec<u8>)> = plan.support().filter_map(pixels).collect();
    let query: Vec<(usize, Vec<u8>)> = plan.query().filter_map(pixels).collect();
    let right = query
        .iter()
        .filter(|(label, image)| {
            let nearest = support
                .iter()
                .min_by_key(|(_, other)| squared_distance(image, other));
            nearest.is_some_and(|(nearest, _)| nearest == label)
        })
        .count();
    right as f64 / query.len() as f64
}

fn squared_distance(a: &[u8], b: &[u8]) -> u64 {
    a.iter()
        .zip(b)
        .map(|(&a, &b)| u64::from(a.abs_diff(b)).pow(2))
        .sum()
}
