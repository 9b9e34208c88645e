//! `chancery verify`: is this log whole, and whose is it?

use std::fs;
use std::io::{self, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use chancery_ledger::body::Kind;
use chancery_ledger::bundle::BundleReader;
use chancery_ledger::time::Micros;
use chancery_ledger::timestamp::Authorities;
use chancery_ledger::tree::seal::Seal;
use chancery_ledger::tree::verifier_key::{CosignerKey, VerifierKey};
use chancery_ledger::verify::{self, Known, Population, Report, Trust, Witnessing, YesNo};
use chancery_ledger::witness::policy::WitnessPolicy;
use clap::Args;
use tempfile::NamedTempFile;

use crate::{output, progress, prove, receipt, source};

/// Arguments of `chancery verify`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// A file to verify: an evidence bundle, or an export.
    #[arg(conflicts_with_all = ["data_dir", "export", "archive", "copy", "proof"])]
    file: Option<PathBuf>,
    #[command(flatten)]
    log: source::Log,
    #[command(flatten)]
    trusted: Trusted,
    /// A file that `chancery prove` wrote: check that instead of a log, by --key, and by the --head that a consistency
    /// proof begins with. Can be given again.
    #[arg(long, conflicts_with_all = ["data_dir", "export", "archive", "copy", "json", "pin"])]
    proof: Vec<PathBuf>,
    /// A view receipt: check that instead of a log, by --key. Can be given again.
    #[arg(long, conflicts_with_all = ["data_dir", "export", "archive", "copy", "pin", "head", "proof", "file"])]
    receipt: Vec<PathBuf>,
    /// Print the verdict as JSON (docs/format.md, section 13).
    #[arg(long)]
    json: bool,
}

/// What the auditor knows from elsewhere.
#[derive(Debug, Args)]
pub struct Trusted {
    /// The verifier key you trust, as `chancery keys signing` printed it when the ledger was new.
    #[arg(long)]
    key: Option<String>,
    /// A file that remembers key and newest checkpoint: written when a log is first found whole, compared and advanced
    /// every later time, so that a log cut short or signed anew in between is noticed.
    #[arg(long)]
    pin: Option<PathBuf>,
    /// A checkpoint of this log that you kept; the log must still contain what it signs. Can be given again.
    #[arg(long)]
    head: Vec<PathBuf>,
    /// The verifier key of a witness you trust. Can be given again: any of them will do, and the verdict says how many
    /// cosigned, and up to where.
    #[arg(long, conflicts_with = "policy")]
    witness: Vec<String>,
    /// A C2SP tlog-policy file: its witnesses are those you trust, and a log that they did not cosign as its quorum asks for
    /// is not what you ask for. If it names one log, that is the key you trust.
    #[arg(long)]
    policy: Option<PathBuf>,
    /// PEM file of the certificates of authorities that you trust to know the time: timestamps of this log's checkpoints
    /// (RFC 3161) are checked with them.
    #[arg(long)]
    tsa_ca: Option<PathBuf>,
}

/// Verifies, and prints the verdict. True if the log is whole.
///
/// # Errors
/// When the log, a key or a head cannot be read.
pub fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let (mut known, was_pinned) = arguments.trusted.known()?;
    if !arguments.proof.is_empty() {
        return prove::verify(&arguments.proof, &known);
    }
    if !arguments.receipt.is_empty() {
        return receipt::verify(&arguments.receipt, known.key.as_ref().map(|(key, _)| key), arguments.json);
    }
    let report = match &arguments.file {
        Some(path) if is_bundle(path)? => verify_bundle(path, &known)?,
        Some(path) => verify_log(&source::Log::of_export(path.clone()), &mut known)?,
        None => verify_log(&arguments.log, &mut known)?,
    };
    arguments.trusted.advance(&report)?;
    match print(arguments, &report, was_pinned) {
        // The verdict stands, whoever stopped reading it.
        Err(error) if !output::is_broken_pipe(&error) => Err(error),
        _ => Ok(report.whole),
    }
}

fn verify_log(log: &source::Log, known: &mut Known) -> anyhow::Result<Report> {
    log.with_items(|items, total, last_checkpoint| {
        let kept = known.heads.iter().map(|head| head.checkpoint().size.0).max();
        // It finds a log that lost its end by accident. Whoever can cut the log can cut this, so it excludes nothing.
        known.heads.extend(last_checkpoint);
        let bar = progress::events(total, "verifying");
        let report = verify::verify(items, known, |events| bar.set_position(events));
        bar.finish_and_clear();
        Ok(Report { truncation_excluded_to: kept, ..report? })
    })
}

/// Verifies an evidence bundle.
///
/// # Errors
/// When it cannot be read.
pub fn verify_bundle(path: &Path, known: &Known) -> anyhow::Result<Report> {
    let file = fs::File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let mut bundle = BundleReader::open(file).with_context(|| format!("{} is no bundle", path.display()))?;
    let bar = progress::events(None, "verifying");
    let report = verify::verify_bundle(&mut bundle, known, |events| bar.set_position(events));
    bar.finish_and_clear();
    report.with_context(|| format!("{} was not read to its end", path.display()))
}

/// Whether a file begins as what is compressed does: of what can be verified, only bundles are.
fn is_bundle(path: &Path) -> anyhow::Result<bool> {
    let mut magic = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(2).read_to_end(&mut magic));
    read.with_context(|| format!("{} cannot be read", path.display()))?;
    Ok(magic == [0x1f, 0x8b])
}

fn print(arguments: &Arguments, report: &Report, was_pinned: bool) -> anyhow::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    if arguments.json {
        serde_json::to_writer(&mut out, report).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        print_for_people(&mut out, report)?;
        match &arguments.trusted.pin {
            Some(_) if report.bundle.is_some() => {}
            Some(path) if report.whole && was_pinned => {
                writeln!(out, "pin advanced to {} events: {}", report.size, path.display())?
            }
            Some(path) if report.whole => writeln!(out, "pinned for the next time: {}", path.display())?,
            Some(path) if was_pinned => writeln!(out, "pin left as it was: {}", path.display())?,
            Some(_) => writeln!(out, "nothing pinned")?,
            None => {}
        }
    }
    Ok(out.flush()?)
}

impl Trusted {
    /// As the verifier takes it, and whether there was a pin.
    ///
    /// # Errors
    /// When something of it cannot be read.
    pub fn known(&self) -> anyhow::Result<(Known, bool)> {
        let pin = self.pin.as_deref().map(Pin::read).transpose()?.flatten();
        let given = self.key.as_deref().map(str::parse::<VerifierKey>).transpose();
        let given = given.map_err(|error| anyhow!("--key: {error}"))?;
        let mut heads = Vec::new();
        for path in &self.head {
            let bytes = fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
            heads.push(Seal::parse(&bytes).with_context(|| format!("{} is no checkpoint", path.display()))?);
        }
        heads.extend(pin.as_ref().map(|pin| pin.head.clone()));
        let witnesses = self.witnessing()?;
        let of_policy = witnesses.as_ref().and_then(|it| match it.policy.logs() {
            [log] => Some(log.key.clone()),
            _ => None,
        });
        let was_pinned = pin.is_some();
        let key = match (given.or(of_policy), pin) {
            (Some(key), _) => Some((key, Trust::Given)),
            (None, Some(pin)) => Some((pin.key, Trust::Pinned)),
            (None, None) => None,
        };
        let authorities = self.tsa_ca.as_deref().map(authorities).transpose()?;
        Ok((Known { key, heads, witnesses, authorities }, was_pinned))
    }

    /// The witnesses that are trusted, if any are named.
    fn witnessing(&self) -> anyhow::Result<Option<Witnessing>> {
        if let Some(path) = &self.policy {
            let text = fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
            let policy = WitnessPolicy::parse(&text).with_context(|| path.display().to_string())?;
            return Ok(Some(Witnessing { policy, is_required: true }));
        }
        let keys: Result<Vec<CosignerKey>, _> = self.witness.iter().map(|key| key.parse()).collect();
        let keys = keys.map_err(|error| anyhow!("--witness: {error}"))?;
        Ok((!keys.is_empty()).then(|| Witnessing { policy: WitnessPolicy::any_of(keys), is_required: false }))
    }

    /// Advances the pin, if there is to be one and the log is whole.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn advance(&self, report: &Report) -> anyhow::Result<()> {
        match &self.pin {
            // Of what a bundle does not show, nothing was verified.
            Some(path) if report.whole && report.bundle.is_none() => Pin::advance(path, report),
            _ => Ok(()),
        }
    }
}

fn authorities(file: &Path) -> anyhow::Result<Authorities> {
    let pem = fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    Authorities::from_pem(&pem).with_context(|| format!("--tsa-ca: {}", file.display()))
}

/// A file of two parts: a verifier key on the first line, and a checkpoint after it.
struct Pin {
    key: VerifierKey,
    head: Seal,
}

impl Pin {
    fn read(path: &Path) -> anyhow::Result<Option<Self>> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("{} cannot be read", path.display())),
        };
        let broken = || format!("{} is no pin file; restore it, or trust the log anew by removing it", path.display());
        let (key, head) = text.split_once('\n').with_context(broken)?;
        let key = key.parse().map_err(|_| anyhow!(broken()))?;
        Ok(Some(Self { key, head: Seal::parse(head.as_bytes()).with_context(broken)? }))
    }

    /// Keeps the log's first key and newest seal, durably, in place of what was kept.
    fn advance(path: &Path, report: &Report) -> anyhow::Result<()> {
        let (Some(key), Some(seal)) = (report.keys.first(), &report.last_seal) else { return Ok(()) };
        let text = format!("{}\n{}", key.verifier_key, String::from_utf8_lossy(seal));
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let written = NamedTempFile::new_in(dir).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.as_file().sync_all()?;
            file.persist(path)?;
            fs::File::open(dir)?.sync_all()
        });
        written.with_context(|| format!("the log is whole, but {} cannot be written", path.display()))
    }
}

/// Seconds since the Unix epoch as people read them; nothing for a time beyond all calendars.
fn moment(secs: u64) -> Option<String> {
    Some(Micros(i64::try_from(secs).ok()?.checked_mul(1_000_000)?).to_string())
}

fn print_for_people(out: &mut impl io::Write, report: &Report) -> io::Result<()> {
    let trust = match report.trust {
        Trust::Given => "sealed by the key you gave",
        Trust::Pinned => "sealed by the key you pinned",
        Trust::SelfNamed => "sealed by the key it names itself; --key or --pin says whose it must be",
    };
    let origin = report.origin.as_deref().unwrap_or("an unknown origin");
    match &report.bundle {
        None => writeln!(out, "log of {origin}: {} events, {} seals", report.events, report.seals)?,
        Some(bundle) => writeln!(
            out,
            "bundle of {} events, and {} that prove them, of the first {} of {origin}",
            bundle.chosen, bundle.beside, report.size
        )?,
    }
    let checks = [
        ("events authentic", report.checks.events_authentic),
        ("chain whole", report.checks.chain_whole),
        ("tree consistent", report.checks.tree_consistent),
        ("keys consistent", report.checks.keys_consistent),
    ];
    for (name, verdict) in checks {
        writeln!(out, "  {name:<18} {}", if verdict == YesNo::Yes { "yes" } else { "NO" })?;
    }
    let verify::BodyCounts { intact, withheld, unknown } = report.bodies;
    writeln!(out, "  bodies             {intact} intact, {withheld} withheld, {unknown} of unknown kinds")?;
    let verify::AgentSignatures { checked, unchecked } = report.agent_signatures;
    writeln!(out, "  agents signed      {checked} checked, {unchecked} not: their bodies or keys are withheld")?;
    writeln!(out, "  trust              {trust}")?;
    match report.truncation_excluded_to {
        Some(size) => writeln!(out, "  cut-off tail       excluded up to {size} events, by the heads you kept")?,
        None => writeln!(out, "  cut-off tail       not excluded: a log cannot show it; --head or --pin does")?,
    }
    match report.witnessed_size {
        Some(size) => writeln!(out, "  witnesses          {}, up to {size} events", report.witnesses)?,
        None => writeln!(out, "  witnesses          {}", report.witnesses)?,
    }
    for by in report.cosigned_by.iter().filter(|by| by.size.is_some()) {
        let (size, time) = (by.size.unwrap_or_default(), by.time_secs.and_then(moment).unwrap_or_default());
        writeln!(out, "    {} cosigned {size} events at {time}", by.witness)?;
    }
    let verify::Timestamps { verified, unverified, newest } = report.timestamps;
    writeln!(out, "  timestamps         {verified} verified, {unverified} not; --tsa-ca says by whom they must be")?;
    if let Some(newest) = newest {
        writeln!(out, "  existed before     {}: its first {} events", newest.at, newest.size)?;
    }
    writeln!(out, "  witnesses          {}", report.witnesses)?;
    if let Some(bundle) = &report.bundle {
        print_population(out, bundle)?;
    }
    for finding in &report.findings {
        writeln!(out, "  {finding}")?;
    }
    let more = report.findings_total - report.findings.len() as u64;
    if more > 0 {
        writeln!(out, "  … and {more} more findings")?;
    }
    match &report.first_broken {
        None => writeln!(out, "WHOLE"),
        Some(first) => writeln!(out, "NOT WHOLE: first broken at event {} ({})", first.seq, first.reason),
    }
}

fn print_population(out: &mut impl io::Write, bundle: &Population) -> io::Result<()> {
    let (first, end) = (bundle.choice.first.0, bundle.choice.end.0);
    let complete = match (bundle.complete, end.checked_sub(1).filter(|last| *last >= first)) {
        (YesNo::Yes, Some(last)) => format!("yes: nothing asked for is missing from event {first} to {last}"),
        (YesNo::Yes, None) => "yes: no event is in the range".to_owned(),
        (YesNo::No, _) => "not shown: other events may have been asked for".to_owned(),
    };
    writeln!(out, "  complete           {complete}")?;
    let times = [bundle.choice.from_time, bundle.choice.to_time];
    if times.iter().any(Option::is_some) {
        let [from, to] = times.map(|time| time.map_or("…".to_owned(), |time| time.to_string()));
        let shown = if bundle.period_complete == YesNo::Yes { "that range is all of it" } else { "not shown" };
        writeln!(out, "  period             {from} to {to}: {shown}")?;
    }
    if let Some(seq) = bundle.recorded {
        writeln!(out, "  made by            event {seq} says who")?;
    }
    for size in &bundle.heads_not_compared {
        writeln!(out, "  head of {size:<10} not compared: the bundle does not show the tree at that size")?;
    }
    for (code, count) in &bundle.kinds {
        let name = Kind::from_code(*code).map_or_else(|| format!("kind {code}"), |kind| kind.name().to_owned());
        writeln!(out, "  {count:>10} × {name}")?;
    }
    Ok(())
}
