//! `chancery verify --pin`: trust on first use, and never again without the head that was seen last.

use std::fs;
use std::path::Path;

use crate::forge::{Forge, event_key, foreign_key, sled_of};
use crate::world::{World, chancery};

#[test]
fn a_pin_is_made_kept_and_advanced_and_notices_a_log_cut_short() {
    let world = World::new();
    let data = world.copy("data-of-the-pin");
    let pin = world.path("pins");
    let (early, end) = (world.ends[world.ends.len() - 2], world.size());

    // The log as it was.
    Forge::spread(&data);
    let db = sled_of(&data);
    let later: Vec<_> = (early..end).map(event_key).map(|key| (key, db.remove(key).unwrap().unwrap())).collect();
    drop(db);
    fs::remove_file(Path::new(&data).join("last-checkpoint")).unwrap();
    let ran = chancery(&["verify", "--data-dir", &data, "--pin", &pin]).is(0);
    assert!(ran.out.ends_with(&format!("WHOLE\npinned for the next time: {pin}\n")), "{}", ran.out);
    let first = fs::read_to_string(&pin).unwrap();
    assert!(first.lines().next().unwrap().starts_with("chancery.test/tools+"));
    assert!(first.contains(&format!("\nchancery.test/tools\n{early}\n")));

    // The log as it is.
    let db = sled_of(&data);
    for (key, value) in &later {
        db.insert(key, value).unwrap();
    }
    drop(db);
    let ran = chancery(&["verify", "--data-dir", &data, "--pin", &pin]).is(0);
    assert!(ran.out.ends_with(&format!("WHOLE\npin advanced to {end} events: {pin}\n")), "{}", ran.out);
    let second = fs::read_to_string(&pin).unwrap();
    assert_eq!(second.lines().next(), first.lines().next(), "the key is still the first");
    let verdict = chancery(&["verify", "--data-dir", &data, "--pin", &pin, "--json"]).is(0).json();
    assert_eq!((&verdict["trust"], &verdict["truncation_excluded_to"]), (&"pinned".into(), &end.into()));

    // As it was, again.
    let db = sled_of(&data);
    for (key, _) in &later {
        db.remove(key).unwrap();
    }
    drop(db);
    chancery(&["verify", "--data-dir", &data]).is(0);
    let ran = chancery(&["verify", "--data-dir", &data, "--pin", &pin]).is(1);
    assert!(ran.out.contains(&format!("event {early}: truncated: ")), "{}", ran.out);
    assert!(ran.out.ends_with(&format!("pin left as it was: {pin}\n")), "{}", ran.out);
    assert_eq!(fs::read_to_string(&pin).unwrap(), second);
    let names: Vec<_> = fs::read_dir(Path::new(&pin).parent().unwrap()).unwrap().collect();
    assert_eq!(names.len(), 3, "nothing is left beside the data directories and the pin: {names:?}");
}

#[test]
fn a_pin_notices_a_log_that_was_signed_anew() {
    let world = World::new();
    let data = world.copy("signed-anew");
    let pin = world.path("pin");
    chancery(&["verify", "--data-dir", &data, "--pin", &pin]).is(0);
    let mut forge = Forge::of(&data);
    forge.name_key(&foreign_key());
    forge.link();
    forge.seal(&foreign_key());
    forge.write(&data);
    fs::remove_file(Path::new(&data).join("last-checkpoint")).unwrap();
    chancery(&["verify", "--data-dir", &data]).is(0);
    let verdict = chancery(&["verify", "--data-dir", &data, "--pin", &pin, "--json"]).is(1).json();
    assert_eq!((&verdict["first_broken"]["seq"], &verdict["first_broken"]["reason"]), (&0.into(), &"key".into()));
    assert_eq!(verdict["findings"][1]["reason"], "head");
}

#[test]
fn nothing_is_pinned_of_a_log_that_is_not_whole_and_a_spoilt_pin_is_no_pin() {
    let world = World::new();
    let pin = world.path("pin");
    let cut = world.path("cut.export");
    fs::write(&cut, &fs::read(world.export()).unwrap()[..500]).unwrap();
    let ran = chancery(&["verify", "--export", &cut, "--pin", &pin]).is(1);
    assert!(ran.out.ends_with("nothing pinned\n") && !Path::new(&pin).exists(), "{}", ran.out);

    // With the key from elsewhere, the first use is no leap of faith.
    let key = chancery(&["inspect", "summary", "--export", &world.export()]).is(0).json()["verifier_key"].clone();
    let with_key = ["verify", "--export", &world.export(), "--key", key.as_str().unwrap(), "--pin", &pin, "--json"];
    assert_eq!(chancery(&with_key).is(0).json()["trust"], "given");
    assert!(Path::new(&pin).exists());

    fs::write(&pin, "something else\n").unwrap();
    chancery(&["verify", "--export", &world.export(), "--pin", &pin]).is(2).complains("is no pin file");
    assert_eq!(fs::read_to_string(&pin).unwrap(), "something else\n");
}
