//! What a person sees while something runs, on stderr; results go to stdout.

use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use ht_train::TrainEvent;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Time between lines where stderr is no terminal.
const PLAIN_INTERVAL: Duration = Duration::from_secs(10);

/// Writes a line to stderr.
pub(crate) fn say(line: &str) {
    // A closed stderr is no reason to stop.
    let _ = writeln!(io::stderr(), "{line}");
}

/// What became of the first line that could not be written to stdout.
static LOST_LINE: OnceLock<io::Error> = OnceLock::new();

/// Writes a line to stdout; [`lost_line`] says whether one was lost.
pub(crate) fn print(line: &str) {
    if let Err(cause) = writeln!(io::stdout(), "{line}") {
        LOST_LINE.get_or_init(|| cause);
    }
}

/// Why stdout lacks a line, if it does. A reader that has read enough lacks none.
pub(crate) fn lost_line() -> Option<&'static io::Error> {
    let cause = LOST_LINE.get()?;
    (cause.kind() != io::ErrorKind::BrokenPipe).then_some(cause)
}

/// Draws training: a bar on a terminal, a line now and then elsewhere.
pub(crate) struct TrainProgress {
    bar: ProgressBar,
    episodes_per_step: u64,
    first_step: u64,
    started: Instant,
    last_line: Instant,
    loss: f64,
    accuracy: f64,
}

impl TrainProgress {
    pub(crate) fn new(episodes_per_step: u64) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(4));
        let template = "{bar:30} {pos}/{len} steps  {msg}  {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self {
            bar,
            episodes_per_step,
            first_step: 0,
            started: Instant::now(),
            last_line: Instant::now(),
            loss: f64::NAN,
            accuracy: f64::NAN,
        }
    }

    pub(crate) fn observe(&mut self, event: TrainEvent) {
        match event {
            TrainEvent::Started { step, steps } => {
                self.bar.set_length(steps);
                self.bar.set_position(step);
                self.bar.reset_eta();
                self.first_step = step;
                self.started = Instant::now();
            }
            TrainEvent::Skipped { cause } => self.line(&format!("skipped: {cause}")),
            TrainEvent::Step {
                step,
                loss,
                accuracy,
            } => self.step(step, loss, accuracy),
            TrainEvent::SkippedStep {
                step,
                cause,
                skipped_steps,
            } => self.line(&format!(
                "step {step:>6}  left out: {cause} ({skipped_steps} so far)"
            )),
            TrainEvent::Validated {
                step,
                accuracy,
                is_best,
            } => {
                let mark = if is_best { "  best so far" } else { "" };
                self.line(&format!("step {step:>6}  validation {accuracy}{mark}"));
            }
            TrainEvent::Testing {
                best_step,
                episodes,
            } => {
                self.bar.finish_and_clear();
                say(&format!(
                    "testing the checkpoint of step {best_step} on {episodes} episodes"
                ));
            }
        }
    }

    fn step(&mut self, step: u64, loss: f64, accuracy: f64) {
        // A running mean is easier to read than single meta-batches.
        let blend = |mean: f64, value: f64| {
            if mean.is_nan() {
                value
            } else {
                0.95 * mean + 0.05 * value
            }
        };
        self.loss = blend(self.loss, loss);
        self.accuracy = blend(self.accuracy, accuracy);
        let done = (step - self.first_step) as f64;
        let seconds = self.started.elapsed().as_secs_f64();
        let rate = done * self.episodes_per_step as f64 / seconds;
        let message = format!(
            "loss {:.3}  accuracy {:.1} %  {rate:.0} episodes/s",
            self.loss, self.accuracy
        );
        if self.bar.is_hidden() {
            if self.last_line.elapsed() >= PLAIN_INTERVAL {
                self.last_line = Instant::now();
                let steps = self.bar.length().unwrap_or(step);
                let left = (steps - step) as f64 * seconds / done;
                say(&format!(
                    "step {step:>6}/{steps}  {message}  {left:.0} s left"
                ));
            }
        } else {
            self.bar.set_message(message);
            self.bar.set_position(step);
        }
    }

    fn line(&self, text: &str) {
        if self.bar.is_hidden() || !io::stderr().is_terminal() {
            say(text);
        } else {
            self.bar.println(text);
        }
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
