//! Writes the JSON Schemas of all documents to `schema/json/`; a test fails when they are older than the types.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("json");
    std::fs::create_dir_all(&folder)?;
    for kind in fleetwright_schema::json_schema::kinds() {
        let schema = fleetwright_schema::json_schema::schema(kind);
        let text = serde_json::to_string_pretty(&schema)? + "\n";
        std::fs::write(folder.join(format!("{kind}.json")), text)?;
    }
    Ok(())
}
