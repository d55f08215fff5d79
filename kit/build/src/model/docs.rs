//! Comments of `.proto` files as text for rustdoc.

use prost_reflect::FileDescriptor;

use crate::source::comment;

/// The comment at `path`, fit for rustdoc; empty where there is none.
pub(crate) fn docs(file: &FileDescriptor, path: &[i32]) -> String {
    clean(&comment(file, path))
}

/// Rewrites what rustdoc would run as a doctest: code blocks that name no language, and indented text.
pub(crate) fn clean(comment: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut fenced = false;
    let mut in_list = false;
    let mut indented = false;
    for line in comment.lines() {
        let line = line.trim_end();
        let text = line.trim_start();
        let depth = line.len() - text.len();
        if text.starts_with("```") || text.starts_with("~~~") {
            close(&mut lines, &mut indented);
            let bare = text.len() == 3 || text.get(3..).is_some_and(|language| language.starts_with("rust"));
            lines.push(if !fenced && bare {
                format!(" {}text", text.get(..3).unwrap_or("```"))
            } else {
                format!(" {text}")
            });
            fenced = !fenced;
            continue;
        }
        if fenced {
            lines.push(line.to_owned());
            continue;
        }
        let after_blank = lines.last().is_none_or(|last| last.trim().is_empty());
        // One space belongs to the comment sign, four more make a block.
        let block = depth >= 5 && !in_list && (after_blank || indented);
        if block && !indented {
            lines.push(" ```text".to_owned());
            indented = true;
        } else if !block && !text.is_empty() {
            close(&mut lines, &mut indented);
        }
        if !block && !text.is_empty() {
            in_list = is_item(text) || in_list && (depth > 1 || !after_blank);
        }
        lines.push(if block || indented || depth < 5 { line.to_owned() } else { format!("    {text}") });
    }
    close(&mut lines, &mut indented);
    if fenced {
        lines.push(" ```".to_owned());
    }
    while lines.last().is_some_and(|line| line.trim().is_empty()) {
        lines.pop();
    }
    lines.join("\n")
}

fn is_item(text: &str) -> bool {
    let mut words = text.split_whitespace();
    let first = words.next().unwrap_or_default();
    matches!(first, "-" | "*" | "+") || first.strip_suffix(['.', ')']).is_some_and(|n| n.parse::<u32>().is_ok())
}

fn close(lines: &mut Vec<String>, indented: &mut bool) {
    if !std::mem::take(indented) {
        return;
    }
    let end = lines.iter().rposition(|line| !line.trim().is_empty()).map_or(lines.len(), |last| last + 1);
    lines.insert(end, " ```".to_owned());
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn indented_text_is_no_doctest() {
        assert_eq!(
            clean(" Like:\n\n     a(b)\n     c\n\n Done.\n"),
            " Like:\n\n ```text\n     a(b)\n     c\n ```\n\n Done."
        );
    }

    #[test]
    fn fences_without_a_language_are_text() {
        assert_eq!(clean(" ```\n x\n ```"), " ```text\n x\n ```");
        assert_eq!(clean(" ```proto\n x\n ```"), " ```proto\n x\n ```");
        assert_eq!(clean(" ```\n x"), " ```text\n x\n ```");
    }

    #[test]
    fn list_items_stay_lists() {
        assert_eq!(clean(" - a\n\n       more\n"), " - a\n\n    more");
    }
}
