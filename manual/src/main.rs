//! Writes the man pages and the shell completions that `make install` installs: `make manual`.

mod pages;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

fn main() -> Result<()> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (name, text) in pages::all()? {
        let path = here.join(&name);
        let folder = path.parent().context("it has no folder")?;
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn written(folder: &Path) -> BTreeSet<String> {
        let files = fs::read_dir(folder).into_iter().flatten().flatten();
        files.map(|file| file.file_name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn what_is_written_is_what_the_program_says() -> Result<()> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let pages = pages::all()?;
        for (name, text) in &pages {
            let there = fs::read(here.join(name)).unwrap_or_default();
            assert!(there == *text, "manual/{name} is not what the program says: run `make manual`");
        }
        for folder in ["man7", "man8", "completions"] {
            let wanted = pages.keys().filter_map(|name| name.strip_prefix(&format!("{folder}/")).map(str::to_owned));
            assert_eq!(written(&here.join(folder)), wanted.collect::<BTreeSet<_>>(), "manual/{folder}");
        }
        Ok(())
    }
}
