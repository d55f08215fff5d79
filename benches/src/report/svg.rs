use std::fmt::Write as _;

use crate::{results::Chart, sockets::thousands};

const WIDTH: u32 = 860;
const LEFT: u32 = 190;
/// For the figures behind the bars.
const RIGHT: u32 = 170;
const BAR: u32 = 18;
const STEP: u32 = 24;

/// Bars of calls a second, in groups; readable on light and on dark pages.
pub(super) fn draw(charts: &[&Chart], machine: &str) -> String {
    let mut body = String::new();
    let mut y = 34;
    text(&mut body, 16, y, "title", "start", "Calls a second on one core");
    y += 20;
    text(
        &mut body,
        16,
        y,
        "small",
        "start",
        &format!("{machine}. Longer is better; × is against the first of each group."),
    );
    for chart in charts {
        y += 38;
        text(&mut body, 16, y, "group", "start", &chart.title);
        y += 10;
        let longest = chart.bars.iter().map(|bar| bar.value).fold(1.0, f64::max);
        let first = chart.bars.first().map_or(1.0, |bar| bar.value);
        for bar in &chart.bars {
            let class = if bar.ours { "ours" } else { "theirs" };
            let length = (bar.value / longest * f64::from(WIDTH - LEFT - RIGHT)).max(1.0);
            text(&mut body, LEFT - 10, y + BAR - 5, if bar.ours { "name strong" } else { "name" }, "end", &bar.name);
            let _ = writeln!(
                body,
                r#"<rect class="{class}" x="{LEFT}" y="{y}" width="{length:.1}" height="{BAR}" rx="2"/>"#
            );
            let figure = format!("{}  ({:.2} ×)", thousands(bar.value), bar.value / first);
            text(&mut body, LEFT + length as u32 + 8, y + BAR - 5, "figure", "start", &figure);
            y += STEP;
        }
    }
    let height = y + 16;
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">
<title>Calls a second of each server on one core</title>
<style>
text {{ font: 13px system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; fill: #1f2328; }}
.title {{ font-size: 18px; font-weight: 600; }}
.group {{ font-size: 14px; font-weight: 600; }}
.small {{ font-size: 11px; fill: #59636e; }}
.strong {{ font-weight: 600; }}
.figure {{ font-variant-numeric: tabular-nums; }}
.page {{ fill: #ffffff; }}
.ours {{ fill: #1f6feb; }}
.theirs {{ fill: #afb8c1; }}
@media (prefers-color-scheme: dark) {{
  text {{ fill: #e6edf3; }}
  .small {{ fill: #9198a1; }}
  .page {{ fill: #0d1117; }}
  .ours {{ fill: #4493f8; }}
  .theirs {{ fill: #59636e; }}
}}
</style>
<rect class="page" width="{WIDTH}" height="{height}" rx="6"/>
{body}</svg>
"#
    )
}

fn text(body: &mut String, x: u32, y: u32, class: &str, anchor: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(body, r#"<text class="{class}" x="{x}" y="{y}" text-anchor="{anchor}">{text}</text>"#);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::ChartBar;

    #[test]
    fn the_longest_bar_and_its_figure_fit() {
        let bar = |name: &str, value, ours| ChartBar { name: name.to_owned(), value, ours };
        let bars = vec![bar("tonic", 131_000.0, false), bar("kit & more", 262_000.0, true)];
        let svg = draw(&[&Chart { title: "gRPC".to_owned(), bars }], "a machine");
        assert!(svg.contains(r#"class="ours" x="190" y="126" width="500.0""#), "{svg}");
        assert!(svg.contains("262,000  (2.00 ×)") && svg.contains("kit &amp; more"), "{svg}");
    }
}
