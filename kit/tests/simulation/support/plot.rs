//! Plots as SVG: panels one below the other with the same seconds, and what was done to the system as a band behind them.

use std::fmt::Write as _;

use super::record::Points;

const WIDTH: f64 = 860.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 24.0;
const HEADER: f64 = 66.0;
const PANEL: f64 = 170.0;
/// Above a panel: its name and what its lines are.
const NAME: f64 = 44.0;
const FOOTER: f64 = 46.0;

/// What a line is about.
#[derive(Clone, Copy)]
pub(crate) enum Style {
    /// The standard chain.
    With,
    /// What people write without it.
    Without,
    /// What there is to reach: load, capacity.
    Reference,
}

impl Style {
    const fn stroke(self) -> &'static str {
        match self {
            Self::With => "stroke=\"#0b62a4\" stroke-width=\"2\"",
            Self::Without => "stroke=\"#8a8a8a\" stroke-width=\"1.8\" stroke-dasharray=\"6 3\"",
            Self::Reference => "stroke=\"#c2571a\" stroke-width=\"1.2\" stroke-dasharray=\"2 3\"",
        }
    }
}

pub(crate) struct Plot {
    title: &'static str,
    /// The figures that matter.
    caption: String,
    /// In seconds.
    length: f64,
    bands: Vec<(f64, f64, &'static str)>,
    panels: Vec<Panel>,
}

pub(crate) struct Panel {
    name: &'static str,
    lines: Vec<(Style, &'static str, Points)>,
    /// What is above is cut off.
    most: Option<f64>,
}

impl Panel {
    /// Named by what goes up, with its unit.
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, lines: Vec::new(), most: None }
    }

    pub(crate) fn line(mut self, style: Style, name: &'static str, points: Points) -> Self {
        self.lines.push((style, name, points));
        self
    }

    pub(crate) fn up_to(mut self, most: f64) -> Self {
        self.most = Some(most);
        self
    }

    fn top(&self) -> f64 {
        let highest = self.lines.iter().flat_map(|line| &line.2).map(|point| point.1).fold(0.0, f64::max);
        self.most.unwrap_or(highest * 1.05).max(1.0)
    }

    fn draw(&self, svg: &mut String, y: f64, length: f64) {
        let (top, bottom) = (self.top(), y + PANEL);
        let place = |value: f64| bottom - value.min(top) / top * PANEL;
        text(svg, LEFT, y - 24.0, "font-weight=\"bold\"", self.name);
        let mut x = LEFT;
        for (style, name, _) in &self.lines {
            let (from, to, line) = (x, x + 26.0, y - 10.0);
            let _ = writeln!(
                svg,
                "<line x1=\"{from:.1}\" y1=\"{line:.1}\" x2=\"{to:.1}\" y2=\"{line:.1}\" {}/>",
                style.stroke()
            );
            text(svg, x + 32.0, y - 6.0, "", name);
            x += 52.0 + name.len() as f64 * 6.6;
        }
        let step = step(top, 6.0);
        for mark in 0..=(top / step) as u32 {
            let value = f64::from(mark) * step;
            let at = place(value);
            let right = WIDTH - RIGHT;
            let _ = writeln!(
                svg,
                "<line x1=\"{LEFT:.1}\" y1=\"{at:.1}\" x2=\"{right:.1}\" y2=\"{at:.1}\" stroke=\"#e3e3e3\"/>"
            );
            text(svg, LEFT - 8.0, at + 4.0, "text-anchor=\"end\"", &number(value));
        }
        for (style, _, points) in &self.lines {
            let mut path = String::new();
            for (second, value) in points {
                let _ = write!(path, "{:.1},{:.1} ", across(*second, length), place(*value));
            }
            let _ = writeln!(
                svg,
                "<polyline fill=\"none\" stroke-linejoin=\"round\" {} points=\"{}\"/>",
                style.stroke(),
                path.trim_end()
            );
        }
        let (width, height) = (WIDTH - LEFT - RIGHT, PANEL);
        let _ = writeln!(
            svg,
            "<rect x=\"{LEFT:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"none\" stroke=\"#777777\"/>"
        );
    }
}

impl Plot {
    pub(crate) fn new(title: &'static str, length: f64) -> Self {
        Self { title, caption: String::new(), length, bands: Vec::new(), panels: Vec::new() }
    }

    pub(crate) fn caption(mut self, caption: impl Into<String>) -> Self {
        self.caption = caption.into();
        self
    }

    /// What was done to the system, and when.
    pub(crate) fn band(mut self, from: f64, to: f64, what: &'static str) -> Self {
        self.bands.push((from, to, what));
        self
    }

    pub(crate) fn panel(mut self, panel: Panel) -> Self {
        self.panels.push(panel);
        self
    }

    pub(crate) fn svg(&self) -> String {
        let height = HEADER + self.panels.len() as f64 * (NAME + PANEL) + FOOTER;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH:.0} {height:.0}\" width=\"{WIDTH:.0}\" \
             height=\"{height:.0}\" font-family=\"Helvetica, Arial, sans-serif\" font-size=\"12\" fill=\"#222222\">\n\
             <rect width=\"{WIDTH:.0}\" height=\"{height:.0}\" fill=\"#ffffff\"/>\n"
        );
        text(&mut svg, LEFT, 26.0, "font-size=\"17\" font-weight=\"bold\"", self.title);
        text(&mut svg, LEFT, 46.0, "fill=\"#555555\"", &self.caption);
        let places = (0..self.panels.len()).map(|at| HEADER + at as f64 * (NAME + PANEL) + NAME);
        for (panel, y) in self.panels.iter().zip(places) {
            for (from, to, _) in &self.bands {
                let (x, end) = (across(*from, self.length), across(*to, self.length));
                let width = end - x;
                let _ = writeln!(
                    svg,
                    "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{PANEL:.1}\" fill=\"#fbe9d7\"/>"
                );
            }
            panel.draw(&mut svg, y, self.length);
            // Over the lines, on a ground of its own.
            for (from, _, what) in &self.bands {
                let at = across(*from, self.length) + 5.0;
                let style =
                    "font-size=\"11\" fill=\"#a0521d\" stroke=\"#fbe9d7\" stroke-width=\"4\" paint-order=\"stroke\"";
                text(&mut svg, at, y + 15.0, style, what);
            }
        }
        let below = height - FOOTER;
        let step = step(self.length, 10.0);
        for mark in 0..=(self.length / step) as u32 {
            let second = f64::from(mark) * step;
            text(&mut svg, across(second, self.length), below + 16.0, "text-anchor=\"middle\"", &number(second));
        }
        let middle = (LEFT + WIDTH - RIGHT) / 2.0;
        text(&mut svg, middle, below + 34.0, "text-anchor=\"middle\"", "seconds of virtual time");
        svg.push_str("</svg>\n");
        svg
    }
}

fn across(second: f64, length: f64) -> f64 {
    LEFT + second / length * (WIDTH - LEFT - RIGHT)
}

fn text(svg: &mut String, x: f64, y: f64, attributes: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let space = if attributes.is_empty() { "" } else { " " };
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\"{space}{attributes}>{text}</text>");
}

/// A round number that fits about so many times.
fn step(top: f64, times: f64) -> f64 {
    let rough = top / times;
    let magnitude = 10_f64.powi(rough.log10().floor() as i32);
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|round| round * magnitude).find(|step| *step >= rough).unwrap_or(rough)
}

fn number(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}
