use std::io::Write as _;

use super::*;

fn load(args: &[&str]) -> Result<Config, ConfigError> {
    Config::load(["chanceryd"].iter().chain(args).map(Into::into))
}

#[test]
fn a_flag_beats_the_file_and_the_file_beats_the_default() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "listen = \"127.0.0.1:9000\"\nbody_bytes_max = 70000\nlog_format = \"json\"").unwrap();
    let path = file.path().to_str().unwrap();
    let config = load(&["--config", path, "--listen", "127.0.0.1:9001"]).unwrap();
    assert_eq!(config.listen.port(), 9001);
    assert_eq!(config.body_bytes_max, 70_000);
    assert_eq!(config.log_format, LogFormat::Json);
    assert_eq!(config.connections_max, limits::CONNECTIONS_MAX);
    assert!(!config.record_origin);
    assert!(load(&["--record-origin"]).unwrap().record_origin);
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let said = |args: &[&str]| load(args).err().unwrap().to_string();
    assert!(said(&["--tls-cert", "x.pem"]).contains("tls_key"));
    assert!(said(&["--connections-max", "0"]).contains("connections_max"));
    assert!(said(&["--body-timeout-secs", "0"]).contains("body_timeout_secs"));
    assert!(said(&["--origin", "two words"]).contains("origin"));
    assert!(said(&["--archive-mode", "synchronous"]).contains("archive_dir"));
    assert!(said(&["--data-dir", "/srv/c", "--archive-dir", "/srv/c/archive"]).contains("data directory"));
    assert!(said(&["--archive-segment-bytes", "1"]).contains("archive_segment_bytes"));
    assert!(said(&["--listen", "nowhere"]).contains("--listen"));
    assert!(said(&["--config", "/nonexistent/chancery.toml"]).contains("/nonexistent/chancery.toml"));
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "listn = \"127.0.0.1:9000\"").unwrap();
    assert!(said(&["--config", file.path().to_str().unwrap()]).contains("listn"));
}

/// `docs/configuration.md` shows the options that there are. `CHANCERY_BLESS=1 cargo test -p chancery-api` rewrites it.
#[test]
fn the_documented_table_is_the_real_one() {
    const BEGIN: &str = "<!-- options: written by the test `the_documented_table_is_the_real_one` -->\n";
    const END: &str = "<!-- end of options -->\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (found, after) = rest.split_once(END).unwrap();
    let mut options = table();
    options.sort_by_key(|option| option.name);
    let mut wanted = String::from("| Flag | Environment | File | Default | What it does |\n|---|---|---|---|---|\n");
    for OptionDoc { name, env, default, doc } in options {
        let flag = name.replace('_', "-");
        wanted.push_str(&format!("| `--{flag}` | `{env}` | `{name}` | {default} | {doc} |\n"));
    }
    if std::env::var_os("CHANCERY_BLESS").is_some() {
        std::fs::write(&path, [before, BEGIN, &wanted, END, after].concat()).unwrap();
    } else {
        assert_eq!(found, wanted, "run CHANCERY_BLESS=1 cargo test -p chancery-api the_documented_table");
    }
}
