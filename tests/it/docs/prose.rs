//! README and the pages for trouble are short and plain: a person reads them tired, and in a foreign language.

use std::path::Path;

use super::{Document, documents};

/// The most words that a sentence may have.
const LONGEST: usize = 25;

/// The headings of each page about a job, in this order.
const HEADINGS: [&str; 7] =
    ["When you need this", "What happens", "Before", "Do it", "Check it", "If it goes wrong", "Undo"];

/// The sentences of a Markdown text. Code in a sentence counts as one word; blocks of code and marks do not count; a table's
/// cell and an item of a list end one.
fn sentences(text: &str) -> Vec<String> {
    let mut paragraphs = vec![String::new()];
    let mut is_code = false;
    for line in text.lines() {
        let line = line.trim();
        let is_fence = line.starts_with("```");
        is_code ^= is_fence;
        if is_fence || is_code || line.is_empty() || line.starts_with("<!--") || line.starts_with("|--") {
            paragraphs.push(String::new());
            continue;
        }
        let is_item = ["- ", "* ", "#"].iter().any(|mark| line.starts_with(mark))
            || line.split_once(". ").is_some_and(|(number, _)| number.parse::<u8>().is_ok());
        if is_item {
            paragraphs.push(String::new());
        }
        let line = line.trim_start_matches(['-', '#']).trim();
        match line.starts_with('|') {
            true => paragraphs.extend(line.split('|').map(str::to_owned)),
            false => {
                let last = paragraphs.last_mut().unwrap();
                last.push(' ');
                last.push_str(line);
            }
        }
    }
    paragraphs.iter().flat_map(|paragraph| of_paragraph(paragraph)).collect()
}

/// A paragraph's sentences, without the targets of links.
fn of_paragraph(paragraph: &str) -> Vec<String> {
    // A text in backquotes becomes one word, so that a full stop in it ends no sentence.
    let plain: String = paragraph
        .split('`')
        .enumerate()
        .map(|(n, piece)| if n % 2 == 1 { "CODE".to_owned() } else { unlinked(piece) })
        .collect();
    let ends = plain.replace(['!', '?'], ".");
    ends.split(". ").map(|sentence| sentence.trim().to_owned()).filter(|sentence| !sentence.is_empty()).collect()
}

/// A link's text in place of the link.
fn unlinked(text: &str) -> String {
    let mut pieces = text.split("](");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |text, piece| text + piece.split_once(')').map_or("", |(_, rest)| rest))
}

fn words(sentence: &str) -> usize {
    sentence.split_whitespace().filter(|word| word.chars().any(char::is_alphanumeric)).count()
}

#[test]
fn sentences_in_readme_and_trouble_are_short() {
    let plain =
        |document: &Document| document.path == Path::new("README.md") || document.path.starts_with("docs/trouble");
    let mut long = Vec::new();
    for document in documents().into_iter().filter(plain) {
        let too_long = sentences(&document.text).into_iter().filter(|sentence| words(sentence) > LONGEST);
        long.extend(too_long.map(|sentence| format!("{}, {}: {sentence}", document.path.display(), words(&sentence))));
    }
    assert!(long.is_empty(), "more than {LONGEST} words:\n{}", long.join("\n"));
}

#[test]
fn sentences_are_counted() {
    let text = "# Head\n\nOne `a. b` two.\nThree [four five](x.md). Six\n\n- seven\n- eight\n\n```sh\nnot this\n```\n| a b | c |\n|---|---|\n";
    let found: Vec<usize> = sentences(text).iter().map(|sentence| words(sentence)).collect();
    assert_eq!(found, [1, 3, 3, 1, 1, 1, 2, 1]);
}

#[test]
fn readme_is_short() {
    let readme = documents().into_iter().find(|document| document.path == Path::new("README.md")).unwrap();
    assert!(readme.text.lines().count() <= 120, "{} lines", readme.text.lines().count());
}

/// A job is described the same way on each page: people look for `Undo` at the end.
#[test]
fn each_page_about_a_job_has_the_seven_headings() {
    let is_job =
        |document: &&Document| document.path.starts_with("docs/operate") && !document.path.ends_with("README.md");
    let documents = documents();
    let jobs: Vec<&Document> = documents.iter().filter(is_job).collect();
    assert!(jobs.len() > 1);
    for job in jobs {
        let headings: Vec<&str> = job.text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        assert_eq!(headings, HEADINGS, "{}", job.path.display());
    }
}

/// The page says whether its commands were run before it gives them.
#[test]
fn each_page_about_a_distribution_says_first_whether_it_was_run() {
    for name in ["debian", "rhel", "suse"] {
        let path = format!("docs/install/{name}.md");
        let documents = documents();
        let page = documents.iter().find(|document| document.path == Path::new(&path)).unwrap();
        let first = page.text.lines().skip(1).find(|line| !line.is_empty()).unwrap();
        assert!(first.starts_with("**Run:**") || first.starts_with("**Not run:**"), "{path}: {first}");
    }
}
