//! What README says is what the program does.

use std::path::Path;

#[test]
fn readme_has_the_parameter_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(path).unwrap_or_default();
    let table = pgsqlms::parameters::markdown_table();
    let section = readme
        .split_once("<!-- parameters -->\n")
        .and_then(|(_, rest)| rest.split_once("<!-- /parameters -->"))
        .map(|(section, _)| section.trim_matches('\n'));
    assert!(
        section == Some(table.trim_end()),
        "README.md must have this between <!-- parameters --> and <!-- /parameters -->:\n\n{table}"
    );
}
