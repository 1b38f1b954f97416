//! Draws docs/ratelimit.svg: what each algorithm of the limiter admits of the same requests.
//!
//! Every bar and every line is a decision of `eave_ratelimit` itself. The requests are made by hand, so
//! that the picture is the same on every machine: a rush just before an edge of the window and one just
//! after it, then a steady flow above the limit, then one below.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::{Context, Result};
use eave_ratelimit::{Change, Hold, Rule, hold, peek, take};

use crate::process;

/// What is drawn: a limit of so many in so many seconds.
const LIMIT: u64 = 30;
const WINDOW: u64 = 30;
const SECONDS: u64 = 120;

/// Where the picture lies.
const PATH: &str = "docs/ratelimit.svg";

/// Unix seconds at which a window of the clock begins.
const EPOCH: u64 = 1_700_000_010;

/// The algorithms, each with its rule and what it says of itself.
const PANELS: [(&str, &str, &str); 4] = [
    ("fixed", "30/30s:fixed", "windows of the clock: twice the limit around an edge"),
    ("gcra", "30/30s:gcra", "a bucket: the limit at once, then a steady rate"),
    ("sliding", "30/30s", "never more than the limit in any 30 s"),
    ("log", "30/30s:log", "the same, exact to the millisecond"),
];

/// Requests in a second.
fn requests(second: u64) -> u64 {
    match second {
        // Just before the edge at 30 s, and just after it.
        28..=31 => 16,
        45..=84 => 3,
        85..=119 => second % 2,
        _ => 0,
    }
}

/// What an algorithm has done in a second.
#[derive(Clone, Copy, Default)]
struct Second {
    asked: u64,
    admitted: u64,
    /// What was admitted in the window that ends with it, or is held.
    load: u64,
}

/// Draws the picture.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn run() -> Result<ExitCode> {
    let path = process::root().join(PATH);
    std::fs::write(&path, picture()?).with_context(|| format!("writing {}", path.display()))?;
    println!("{PATH} is drawn");
    Ok(ExitCode::SUCCESS)
}

/// Asks an algorithm for every request.
fn decisions(rule: &str) -> Result<Vec<Second>> {
    let rule = Rule::parse(rule.as_bytes())?;
    let (mut state, mut next) = (Vec::new(), Vec::new());
    let mut seconds: Vec<Second> = Vec::new();
    for second in 0..SECONDS {
        let asked = requests(second);
        let mut admitted = 0;
        for nth in 0..asked {
            let now = (EPOCH + second) * 1000 + nth * 1000 / asked;
            let outcome = take(&state, &rule, 1, now, &mut next)?;
            if let Change::Store { .. } = outcome.change {
                state.clone_from(&next);
            }
            admitted += u64::from(outcome.decision.allowed);
        }
        let before = seconds.iter().rev().take(WINDOW as usize - 1);
        let load = admitted + before.map(|second| second.admitted).sum::<u64>();
        seconds.push(Second { asked, admitted, load });
    }
    Ok(seconds)
}

/// Slots that are held for five seconds each, under `conc`.
fn slots() -> Result<Vec<Second>> {
    let rule = Rule::parse(b"30/conc")?;
    let (mut state, mut next) = (Vec::new(), Vec::new());
    let mut seconds = Vec::new();
    for second in 0..SECONDS {
        let asked = requests(second);
        let now = (EPOCH + second) * 1000;
        let mut admitted = 0;
        for nth in 0..asked {
            let id = format!("{second}.{nth}");
            let slot = Hold { id: id.as_bytes(), label: b"", amount: 1, ttl_ms: 5000 };
            let outcome = hold(&state, &rule, &slot, now, &mut next)?;
            if let Change::Store { .. } = outcome.change {
                state.clone_from(&next);
            }
            admitted += u64::from(outcome.decision.allowed);
        }
        let free = u64::try_from(peek(&state, &rule, 0, now)?.remaining)?;
        seconds.push(Second { asked, admitted, load: LIMIT - free });
    }
    Ok(seconds)
}

/// Sizes in the units of the picture.
const WIDTH: u64 = 860;
const LEFT: u64 = 20;
const RIGHT: u64 = 700;
const TOP: u64 = 64;
const PANEL: u64 = 132;
const HEIGHT: u64 = 88;
/// Of so many requests a panel is as high as it can be.
const MOST: u64 = 66;

const STYLE: &str = "\
svg { font: 13px system-ui, sans-serif; }\n\
.paper { fill: #ffffff; } text { fill: #1f2328; } .note { fill: #59636e; }\n\
.asked { fill: #d1d9e0; } .admitted { fill: #0969da; }\n\
.load { fill: none; stroke: #bc4c00; stroke-width: 1.6; } .over { fill: #d1242f; }\n\
.limit { stroke: #59636e; stroke-dasharray: 4 3; } .ground { stroke: #d1d9e0; }\n\
@media (prefers-color-scheme: dark) {\n\
.paper { fill: #0d1117; } text { fill: #f0f6fc; } .note { fill: #9198a1; }\n\
.asked { fill: #3d444d; } .admitted { fill: #4493f8; }\n\
.load { stroke: #db6d28; } .over { fill: #f85149; }\n\
.limit { stroke: #9198a1; } .ground { stroke: #3d444d; }\n\
}\n";

/// The whole picture.
fn picture() -> Result<String> {
    let height = TOP + PANEL * (PANELS.len() as u64 + 1) + 20;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-label=\"What each algorithm admits of the same requests\">\n<style>\n{STYLE}</style>\n\
         <rect class=\"paper\" width=\"{WIDTH}\" height=\"{height}\"/>\n\
         <text x=\"{LEFT}\" y=\"24\" font-weight=\"600\">The same requests under a limit of {LIMIT} in \
         {WINDOW} s</text>\n\
         <text x=\"{LEFT}\" y=\"44\" class=\"note\">grey: asked in each second; blue: admitted; orange: \
         admitted in the last {WINDOW} s (conc: held at once); dashed: the limit</text>\n"
    );
    for (at, (name, rule, note)) in PANELS.iter().enumerate() {
        panel(&mut svg, at as u64, &format!("{name} ({rule})"), note, &decisions(rule)?);
    }
    let note = "so many at once, here each for 5 s";
    panel(&mut svg, PANELS.len() as u64, "conc (30/conc)", note, &slots()?);
    svg.push_str("</svg>\n");
    Ok(svg)
}

/// One algorithm. Writing to a String does not fail.
fn panel(svg: &mut String, at: u64, name: &str, note: &str, seconds: &[Second]) {
    let ground = TOP + PANEL * at + HEIGHT + 24;
    let step = (RIGHT - LEFT) as f64 / SECONDS as f64;
    let x = |second: usize| LEFT as f64 + step * second as f64;
    let y = |count: u64| ground as f64 - (count * HEIGHT) as f64 / MOST as f64;
    let _ = writeln!(
        svg,
        "<text x=\"{LEFT}\" y=\"{}\" font-weight=\"600\">{name}</text>",
        ground - HEIGHT - 6
    );
    for (class, count) in [
        ("asked", (|second: &Second| second.asked) as fn(&Second) -> u64),
        ("admitted", |second| second.admitted),
    ] {
        let _ = write!(svg, "<path class=\"{class}\" d=\"");
        for (nth, second) in seconds.iter().enumerate().filter(|(_, s)| count(s) > 0) {
            let (width, top) = (step - 1.0, y(count(second)));
            let _ = write!(svg, "M{:.1} {ground}V{top:.1}h{width:.1}V{ground}z", x(nth));
        }
        svg.push_str("\"/>\n");
    }
    let limit = y(LIMIT);
    let _ = writeln!(
        svg,
        "<line class=\"ground\" x1=\"{LEFT}\" y1=\"{ground}\" x2=\"{RIGHT}\" y2=\"{ground}\"/>\n\
         <line class=\"limit\" x1=\"{LEFT}\" y1=\"{limit:.1}\" x2=\"{RIGHT}\" y2=\"{limit:.1}\"/>"
    );
    let points = seconds.iter().enumerate();
    let points = points.map(|(nth, second)| format!("{:.1},{:.1}", x(nth) + step, y(second.load)));
    let _ = writeln!(
        svg,
        "<polyline class=\"load\" points=\"{}\"/>",
        points.collect::<Vec<_>>().join(" ")
    );
    let most = seconds.iter().map(|second| second.load).max().unwrap_or(0);
    let admitted: u64 = seconds.iter().map(|second| second.admitted).sum();
    let class = if most > LIMIT { " class=\"over\"" } else { "" };
    let side = RIGHT + 12;
    let _ = writeln!(
        svg,
        "<text x=\"{side}\" y=\"{}\"{class}>at most {most}</text>\n\
         <text x=\"{side}\" y=\"{}\" class=\"note\">admitted {admitted}</text>\n\
         <text x=\"{}\" y=\"{}\" class=\"note\" text-anchor=\"end\">{note}</text>",
        ground - 24,
        ground - 6,
        RIGHT,
        ground - HEIGHT - 6
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the picture shows is what the algorithms do.
    #[test]
    fn the_picture_is_what_is_decided() {
        let drawn = std::fs::read_to_string(process::root().join(PATH)).unwrap_or_default();
        assert!(drawn == picture().unwrap(), "draw it again: cargo xtask draw");
    }

    #[test]
    fn the_picture_shows_what_it_says() {
        let most = |rule| decisions(rule).unwrap().iter().map(|second| second.load).max();
        assert_eq!(most("30/30s:fixed"), Some(60));
        assert_eq!(most("30/30s"), Some(30));
        assert_eq!(most("30/30s:log"), Some(30));
        assert!(most("30/30s:gcra") > Some(30) && most("30/30s:gcra") <= Some(60));
        assert!(slots().unwrap().iter().all(|second| second.load <= 30));
    }
}
