//! What a person is told of a bundle that was just made.

use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use ht_bundle::{Bundle, Precision};
use serde_json::json;

use super::factory::Factory;
use super::leave_one_out::Confusion;
use super::task::Task;
use crate::commands::shown;
use crate::progress::print;

/// Runs of an image whose median is reported.
const RUNS: usize = 501;

/// Prints it as a table, or as one JSON object.
pub(super) fn report(
    bundle: &Bundle,
    task: &Task,
    factory: &Factory,
    confusion: &Confusion,
    output: &Path,
    is_json: bool,
) -> Result<()> {
    let cost = bundle.cost()?;
    let microseconds = microseconds_per_image(bundle)?;
    if is_json {
        let manifest = &bundle.manifest;
        let object = json!({
            "bundle": shown(output),
            "model": factory.name,
            "method": factory.method()?,
            "labels": manifest.labels,
            "pictures": task.images.len(),
            "invert": manifest.preprocessing.invert,
            "weights": cost.weights,
            "multiply_adds": cost.multiply_adds,
            "device_bytes": cost.device_bytes,
            "activation_bytes": cost.activation_bytes,
            "workspace_bytes": cost.workspace_bytes,
            "microseconds_per_image": microseconds,
            "temperature": manifest.temperature,
            "rejection": manifest.rejection,
            "leave_one_out": confusion,
        });
        print(&object.to_string());
        return Ok(());
    }
    for line in lines(bundle, task, factory, microseconds)? {
        print(&line);
    }
    for line in confusion_lines(confusion, &task.labels) {
        print(&line);
    }
    print(&format!("the bundle lies in {}", output.display()));
    Ok(())
}

fn lines(
    bundle: &Bundle,
    task: &Task,
    factory: &Factory,
    microseconds: f64,
) -> Result<Vec<String>> {
    let cost = bundle.cost()?;
    let manifest = &bundle.manifest;
    let rejection = manifest.rejection.as_ref().map_or_else(
        || "none".to_owned(),
        |rejection| {
            format!(
                "where the other classes have more than {:.3e} together, at which {:.1} % of {} passed",
                rejection.most_doubt,
                100.0 * rejection.false_accept_rate,
                rejection.measured_on
            )
        },
    );
    Ok(vec![
        format!(
            "{} wrote a CNN for {} classes from {} pictures",
            factory.name,
            task.labels.len(),
            task.images.len()
        ),
        format!("pictures        {}", manifest.preprocessing.describe()),
        format!(
            "CNN             {} weights, {} multiply-adds an image, {} bytes on a device",
            cost.weights, cost.multiply_adds, cost.device_bytes
        ),
        format!(
            "memory          {} bytes of activations at most, {} bytes of workspace with the weights",
            cost.activation_bytes, cost.workspace_bytes
        ),
        format!("time            {microseconds:.1} µs an image on one core of this machine"),
        format!("temperature     {:.3}", manifest.temperature),
        format!("rejection       {rejection}"),
    ])
}

/// The matrix with its classes, and the shares of right answers.
fn confusion_lines(confusion: &Confusion, labels: &[String]) -> Vec<String> {
    let Some(all) = &confusion.all else {
        return vec!["leave-one-out   needs a class with two pictures".to_owned()];
    };
    let mut lines = vec![format!(
        "leave-one-out   {all}: each picture by a CNN that was made without it"
    )];
    let width = labels.iter().map(|label| label.chars().count()).max();
    let width = width.unwrap_or(0).clamp(5, 24);
    let cell = |text: &str, width: usize| {
        let cut: String = text.chars().take(width).collect();
        format!(" {cut:>width$}")
    };
    let head: String = labels.iter().map(|label| cell(label, 7)).collect();
    lines.push(format!("  {}{head}", cell("", width)));
    for ((label, counts), share) in labels.iter().zip(&confusion.counts).zip(&confusion.classes) {
        let counts: String = counts
            .iter()
            .map(|count| cell(&count.to_string(), 7))
            .collect();
        let share = share.map_or("one picture".to_owned(), |share| share.to_string());
        lines.push(format!("  {}{counts}   {share}", cell(label, width)));
    }
    lines
}

/// Median over runs of the first picture through `ht-runtime`.
fn microseconds_per_image(bundle: &Bundle) -> Result<f64> {
    let file = bundle.device_file(Precision::Float32)?;
    let failed = |cause: ht_runtime::Error| anyhow::anyhow!("{cause}");
    let cnn = ht_runtime::Cnn::parse(&file).map_err(failed)?;
    let mut workspace = vec![0.0; cnn.workspace_len()];
    let mut network = cnn.load(&mut workspace).map_err(failed)?;
    let mut logits = vec![0.0; cnn.n_labels()];
    let image = &bundle.golden.images[..cnn.image().len()];
    let mut times = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        let start = Instant::now();
        network.classify(image, &mut logits).map_err(failed)?;
        times.push(start.elapsed().as_secs_f64() * 1e6);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[RUNS / 2])
}
