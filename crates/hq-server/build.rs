//! Embeds the reference definitions, so that `leasehold demo` runs anywhere.

use std::{env, error::Error, fmt::Write, fs, path::Path};

const REFERENCE: &str = "../../examples/cleanmatex";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={REFERENCE}");
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join(REFERENCE);
    let mut files = Vec::new();
    collect(&root, "", &mut files)?;
    if files.is_empty() {
        return Err(format!("no definitions below {}", root.display()).into());
    }
    files.sort();
    let mut list = String::from("&[\n");
    for name in files {
        writeln!(list, "    ({name:?}, include_bytes!({:?})),", root.join(&name))?;
    }
    list.push(']');
    fs::write(Path::new(&env::var("OUT_DIR")?).join("reference.rs"), list)?;
    Ok(())
}

/// Names of the files that the engine would read from this directory.
fn collect(folder: &Path, prefix: &str, files: &mut Vec<String>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().into_string().map_err(|name| format!("{name:?} is not UTF-8"))?;
        if name.starts_with('.') {
            continue;
        }
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &format!("{prefix}{name}/"), files)?;
        } else if name.ends_with(".json") {
            files.push(format!("{prefix}{name}"));
        }
    }
    Ok(())
}
