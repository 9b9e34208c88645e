//! Progress on standard error, for people: nothing is drawn when it is not a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar that counts events; without a total it counts upward.
#[must_use]
pub fn events(total: Option<u64>, doing: &'static str) -> ProgressBar {
    let bar = match total {
        Some(total) => ProgressBar::new(total),
        None => ProgressBar::new_spinner(),
    };
    let template = match total {
        Some(_) => "{msg} {wide_bar} {human_pos}/{human_len} events, {per_sec}, {eta} left",
        None => "{msg} {spinner} {human_pos} events, {per_sec}",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_message(doing);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// A sign of life where nothing can be counted.
#[must_use]
pub fn waiting(doing: &'static str) -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    bar.set_message(doing);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// A bar that counts steps.
#[must_use]
pub fn steps(total: u64, doing: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(total);
    if let Ok(style) =
        ProgressStyle::with_template("{msg} {wide_bar} {human_pos}/{human_len} steps, {per_sec}, {eta} left")
    {
        bar.set_style(style);
    }
    bar.set_message(doing);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
