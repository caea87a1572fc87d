//! Laws of the image operations that hold for every picture.

use proptest::prelude::*;

use super::photo::{self, Photo};
use super::{Picture, affine, geometric, tone};
use crate::ImageShape;

const SIDE: usize = 6;

fn shape(channels: usize) -> ImageShape {
    ImageShape {
        channels,
        height: SIDE,
        width: SIDE,
    }
}

fn pictures() -> impl Strategy<Value = Picture> {
    prop::collection::vec(any::<u8>(), 2 * SIDE * SIDE)
        .prop_map(|bytes| Picture::from_bytes(shape(2), &bytes))
}

fn photos() -> impl Strategy<Value = Photo> {
    prop::collection::vec(any::<u8>(), 3 * SIDE * SIDE)
        .prop_map(|bytes| Photo::new(shape(3), bytes))
}

/// The values of each channel, sorted: what moving pixels around keeps.
fn sorted(picture: &Picture) -> Vec<Vec<f32>> {
    let planes = picture.values().chunks(SIDE * SIDE);
    planes
        .map(|plane| {
            let mut plane = plane.to_vec();
            plane.sort_by(f32::total_cmp);
            plane
        })
        .collect()
}

/// The bilinear rule at one place of a plane, asking for each pixel whether it is there.
fn bilinear(plane: &[f32], [height, width]: [usize; 2], [y, x]: [f64; 2]) -> f64 {
    let pixel = |y: f64, x: f64| {
        let is_there = y >= 0.0 && x >= 0.0 && y < height as f64 && x < width as f64;
        is_there.then(|| f64::from(plane[y as usize * width + x as usize]))
    };
    let mut sum = 0.0;
    for (row, part) in [
        (y.floor(), 1.0 + y.floor() - y),
        (y.floor() + 1.0, y - y.floor()),
    ] {
        for (column, of_it) in [
            (x.floor(), 1.0 + x.floor() - x),
            (x.floor() + 1.0, x - x.floor()),
        ] {
            sum += part * of_it * pixel(row, column).unwrap_or(0.0);
        }
    }
    sum
}

/// One colour of bytes with another hue, by the definition.
fn turned_colour(colour: [u8; 3], delta: f32) -> [u8; 3] {
    let [red, green, blue] = colour.map(|byte| f32::from(byte) * (1.0 / 255.0));
    let (sixth, [low, middle, high]) = if red < green {
        if blue < red {
            (1, [blue, red, green])
        } else if blue > green {
            (3, [red, green, blue])
        } else {
            (2, [red, blue, green])
        }
    } else if blue < green {
        (0, [blue, green, red])
    } else if blue > red {
        (4, [green, red, blue])
    } else {
        (5, [green, blue, red])
    };
    let along = |sixth: i32, ratio: f32| if sixth % 2 == 0 { ratio } else { 1.0 - ratio };
    let mut position = if high > low {
        sixth as f32 + along(sixth, (middle - low) / (high - low))
    } else {
        0.0
    };
    position += delta * 6.0;
    while position < 0.0 {
        position += 6.0;
    }
    while position >= 6.0 {
        position -= 6.0;
    }
    let sixth = position as i32;
    let middle = low + along(sixth, position - sixth as f32) * (high - low);
    let turned = match sixth {
        0 => [high, middle, low],
        1 => [middle, high, low],
        2 => [low, high, middle],
        3 => [low, middle, high],
        4 => [middle, low, high],
        _ => [high, low, middle],
    };
    turned.map(|value| (value * 255.5) as u8)
}

proptest! {
    #[test]
    fn an_affine_map_reads_by_the_bilinear_rule(
        picture in pictures(),
        rows in [-2.0..2.0f32, -2.0..2.0],
        columns in [-2.0..2.0f32, -2.0..2.0],
        shift in [-2.0..2.0f32, -2.0..2.0],
    ) {
        // Not square: two channels of 4 x 9 pixels instead of 6 x 6.
        let sides = [4, 9];
        let shape = ImageShape { channels: 2, height: 4, width: 9 };
        let picture = Picture::new(shape, picture.into_values());
        let ours = affine::sample_affine(&picture, rows, columns, shift);
        prop_assert_eq!(ours.shape(), shape);
        let planes = picture.values().chunks(36).zip(ours.values().chunks(36));
        for (plane, ours) in planes {
            for (i, &value) in ours.iter().enumerate() {
                let at = |axis: usize| {
                    let centre = sides.map(|side: usize| (side as f64 - 1.0) / 2.0);
                    let step = |which: usize, index: usize| {
                        index as f64 - centre[which] - f64::from(shift[which]) * sides[which] as f64
                    };
                    centre[axis]
                        + step(0, i / 9) * f64::from(rows[axis])
                        + step(1, i % 9) * f64::from(columns[axis])
                };
                let expected = bilinear(plane, sides, [at(0), at(1)]);
                prop_assert!((f64::from(value) - expected).abs() < 0.02, "{} {}", value, expected);
            }
        }
    }

    #[test]
    fn four_quarter_turns_are_none(picture in pictures(), turns in 0..8u8) {
        let turned = geometric::quarter_turns(&picture, turns);
        prop_assert_eq!(sorted(&turned), sorted(&picture));
        let back = geometric::quarter_turns(&turned, 4 - turns % 4);
        prop_assert_eq!(back, picture);
    }

    #[test]
    fn a_rotation_by_a_quarter_is_a_quarter_turn(picture in pictures(), turns in 0..4u8) {
        let angle = std::f32::consts::FRAC_PI_2 * f32::from(turns);
        let turned = geometric::quarter_turns(&picture, turns);
        prop_assert_eq!(geometric::rotate(&picture, angle), turned);
    }

    #[test]
    fn a_roll_is_undone(picture in pictures(), rows in -1.0..1.0f32, columns in -1.0..1.0f32) {
        let rolled = geometric::roll(&picture, rows, columns);
        prop_assert_eq!(sorted(&rolled), sorted(&picture));
        prop_assert_eq!(geometric::roll(&rolled, -rows, -columns), picture);
    }

    #[test]
    fn the_own_size_is_no_resize(picture in pictures()) {
        prop_assert_eq!(&geometric::resize(&picture, SIDE, SIDE), &picture);
        let whole = geometric::CropBox { top: 0.0, left: 0.0, bottom: 1.0, right: 1.0 };
        prop_assert_eq!(&geometric::crop_and_resize(&picture, whole, SIDE, SIDE), &picture);
    }

    #[test]
    fn sizes_are_kept_or_as_asked(
        picture in pictures(), unit in -1.0..1.0f32, height in 1..20usize, width in 1..20usize,
    ) {
        prop_assert_eq!(geometric::resize_content(&picture, unit).shape(), picture.shape());
        let resized = geometric::resize(&picture, height, width);
        prop_assert_eq!(resized.shape(), ImageShape { channels: 2, height, width });
    }

    #[test]
    fn a_double_negative_is_none(picture in pictures()) {
        prop_assert_eq!(tone::negate(tone::negate(picture.clone())), picture);
    }

    #[test]
    fn tones_stay_in_range_and_contrast_keeps_order(picture in pictures(), unit in -0.9..1.0f32) {
        for changed in [tone::smooth(picture.clone()), tone::contrast(picture.clone(), unit)] {
            prop_assert!(changed.values().iter().all(|value| (0.0..=255.0).contains(value)));
        }
        let changed = tone::contrast(picture.clone(), unit);
        let planes = picture.values().chunks(SIDE * SIDE);
        for (before, after) in planes.zip(changed.values().chunks(SIDE * SIDE)) {
            let mut order: Vec<usize> = (0..SIDE * SIDE).collect();
            order.sort_by(|&a, &b| before[a].total_cmp(&before[b]));
            prop_assert!(order.is_sorted_by_key(|&pixel| after[pixel]));
        }
    }

    #[test]
    fn neutral_parameters_keep_a_photo(photo in photos()) {
        prop_assert_eq!(&photo::flip(photo::flip(photo.clone())), &photo);
        prop_assert_eq!(&photo::hue(photo.clone(), 0.0), &photo);
        prop_assert_eq!(&photo::hue(photo.clone(), 1.0), &photo);
        prop_assert_eq!(&photo::brightness(photo.clone(), 0.0), &photo);
        prop_assert_eq!(&photo::contrast(photo.clone(), 1.0), &photo);
        prop_assert_eq!(&Photo::from_normalised(&photo.normalised()), &photo);
    }

    #[test]
    fn a_hue_is_turned_in_blocks_as_one_colour_is_alone(
        bytes in prop::collection::vec(any::<u8>(), 3 * 150),
        small in prop::collection::vec(0..4u8, 3 * 150),
        delta in prop_oneof![-1.0..1.0f32, -4.0..4.0f32],
    ) {
        // Not whole blocks of 64 pixels; small values have many ties.
        let shape = ImageShape { channels: 3, height: 10, width: 15 };
        for bytes in [bytes, small] {
            let turned = photo::hue(Photo::new(shape, bytes.clone()), delta);
            for pixel in 0..150 {
                let colour = |bytes: &[u8]| [0, 1, 2].map(|channel| bytes[channel * 150 + pixel]);
                let expected = turned_colour(colour(&bytes), delta);
                prop_assert_eq!(colour(turned.bytes()), expected, "{:?}", colour(&bytes));
            }
        }
    }

    #[test]
    fn bytes_are_changed_in_vectors_as_one_is_alone(
        bytes in prop::collection::vec(any::<u8>(), 3 * 150), delta in -2.0..2.0f32,
    ) {
        let shape = ImageShape { channels: 3, height: 10, width: 15 };
        let changed = photo::brightness(Photo::new(shape, bytes.clone()), delta);
        for (byte, changed) in bytes.iter().zip(changed.bytes()) {
            let value = f32::from(*byte) * (1.0 / 255.0) + delta;
            prop_assert_eq!(*changed, (value * 255.5) as u8);
        }
    }

    #[test]
    fn a_crop_reads_by_the_bilinear_rule(
        picture in pictures(), corners in [-0.3..1.3f32, -0.3..1.3, -0.3..1.3, -0.3..1.3],
    ) {
        // Not square, and the corners in any order.
        let [top, left, bottom, right] = corners;
        let part = geometric::CropBox { top, left, bottom, right };
        let shape = ImageShape { channels: 2, height: 4, width: 9 };
        let picture = Picture::new(shape, picture.into_values());
        let ours = geometric::crop_and_resize(&picture, part, 7, 5);
        let planes = picture.values().chunks(36).zip(ours.values().chunks(35));
        for (plane, ours) in planes {
            for (i, &value) in ours.iter().enumerate() {
                let at = |start: f32, end: f32, index: usize, n: f64, last: f64| {
                    let (start, end) = (f64::from(start), f64::from(end));
                    (start + (end - start) * index as f64 / (n - 1.0)) * last
                };
                let (y, x) = (at(top, bottom, i / 5, 7.0, 3.0), at(left, right, i % 5, 5.0, 8.0));
                let is_inside = (0.0..=3.0).contains(&y) && (0.0..=8.0).contains(&x);
                let expected = if is_inside { bilinear(plane, [4, 9], [y, x]) } else { 0.0 };
                let is_edge = |x: f64, last: f64| x.abs().min((x - last).abs()) < 1e-5;
                let near = (f64::from(value) - expected).abs() < 0.02;
                prop_assert!(near || is_edge(y, 3.0) || is_edge(x, 8.0), "{} {}", value, expected);
            }
        }
    }

    #[test]
    fn a_hue_keeps_the_extremes_of_each_colour(photo in photos(), delta in -1.0..1.0f32) {
        let turned = photo::hue(photo.clone(), delta);
        for pixel in 0..SIDE * SIDE {
            let extremes = |photo: &Photo| {
                let colour = [0, 1, 2].map(|c| photo.bytes()[c * SIDE * SIDE + pixel]);
                (colour.into_iter().min(), colour.into_iter().max())
            };
            prop_assert_eq!(extremes(&turned), extremes(&photo));
        }
    }
}

#[test]
fn a_picture_can_be_resized_to_nothing() {
    let picture = Picture::new(shape(2), vec![1.0; 2 * SIDE * SIDE]);
    for [height, width] in [[0, 5], [5, 0], [0, 0]] {
        let empty = geometric::resize(&picture, height, width);
        assert!(empty.values().is_empty(), "{height} x {width}");
    }
}

/// Folding the upper half onto the lower one, value by value.
fn folded(values: &[f32]) -> f32 {
    match values {
        [] => 0.0,
        [one] => *one,
        _ => {
            let (lower, upper) = values.split_at(values.len().div_ceil(2));
            let at = |i: usize| upper.get(i).map_or(lower[i], |upper| lower[i] + upper);
            folded(&(0..lower.len()).map(at).collect::<Vec<_>>())
        }
    }
}

#[test]
fn a_contrast_is_made_in_vectors_as_by_its_definition() {
    let shape = ImageShape {
        channels: 3,
        height: 10,
        width: 15,
    };
    let bytes: Vec<u8> = (0..shape.len()).map(|i| (i * i * 7 % 251) as u8).collect();
    let changed = photo::contrast(Photo::new(shape, bytes.clone()), 1.37);
    for (plane, changed) in bytes.chunks(150).zip(changed.bytes().chunks(150)) {
        let unit = |byte: u8| f32::from(byte) * (1.0 / 255.0);
        let values: Vec<f32> = plane.iter().copied().map(unit).collect();
        let mean = folded(&values) * (1.0 / 150.0);
        for (value, changed) in values.iter().zip(changed) {
            let expected = mean + 1.37 * (value - mean);
            assert_eq!(*changed, (expected * 255.5) as u8);
        }
    }
    // Values that no byte has, too.
    let values: Vec<f32> = (0..shape.len()).map(|i| i as f32 / 150.0 - 1.5).collect();
    let photo = Photo::from_normalised(&Picture::new(shape, values.clone()));
    for (value, byte) in values.iter().zip(photo.bytes()) {
        assert_eq!(*byte, ((value + 1.0) * 128.0) as u8);
    }
}

#[test]
fn grey_has_no_hue() {
    let photo = Photo::new(shape(1), vec![7; SIDE * SIDE]);
    assert_eq!(photo::hue(photo.clone(), 0.3), photo);
}

#[test]
fn a_picture_of_one_value_has_no_contrast() {
    let picture = Picture::new(shape(1), vec![9.0; SIDE * SIDE]);
    let changed = tone::contrast(picture, 0.2);
    assert!(changed.values().iter().all(|&value| value == 0.0));
}
